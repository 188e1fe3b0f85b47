"""Recipes: settings that are known to go together, by name. Each task registers its own, in its ``recipes.py``."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from specvid.config import to_dict
from specvid.models.weights.report import LoadReport
from specvid.pipelines.engine.config import ABOUT_THE_RUN, TrainingConfig
from specvid.registry import Registry

Config = TypeVar("Config", bound=TrainingConfig)

RECIPES: dict[type[TrainingConfig], Registry[Callable[[], TrainingConfig]]] = defaultdict(partial(Registry, "recipe"))

FROM_WEIGHTS: dict[type[TrainingConfig], set[str]] = defaultdict(set)
"""The recipes whose rates and frozen parts are for a network that knows something already."""


def recipe(kind: type[Config], *, from_weights: bool = False) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register a recipe under the name of its function.

    Args:
        kind: the task's config.
        from_weights: it is for a network that starts from weights (`FROM_WEIGHTS`).

    Returns:
        A decorator.
    """

    def register(function: Callable[[], Config]) -> Callable[[], Config]:
        if from_weights:
            FROM_WEIGHTS[kind].add(function.__name__)
        return RECIPES[kind].register(function.__name__)(function)

    return register


def get_recipe(kind: type[Config], name: str) -> Config:
    """The settings of a recipe.

    Args:
        kind: the task's config.
        name: of the recipe.

    Returns:
        The settings, with the recipe's name noted in them.

    Raises:
        ValueError: the task has no recipe of this name.
    """
    config = RECIPES[kind].find(name)()
    assert isinstance(config, kind)
    return replace(config, recipe=name)


def describe_recipe(config: TrainingConfig) -> str:
    """What the recipe sets that a config began with, and what was set otherwise.

    Args:
        config: with the recipe's name.

    Returns:
        A line of options, as the command line takes them.
    """
    kind = type(config)
    if config.recipe not in RECIPES[kind]:  # of another version, or of a program that does not import them
        return f"recipe {config.recipe}"
    plain, own, now = (_options(to_dict(one)) for one in (kind(), get_recipe(kind, config.recipe), config))
    names = [name for name in own if own[name] != plain[name]]
    other = " ".join(_option(name, now[name]) for name in names if now[name] != own[name])
    sets = " ".join(_option(name, own[name]) for name in names) or "nothing but the defaults"
    return f"recipe {config.recipe}: {sets}" + (f"; set otherwise here: {other}" if other else "")


def describe_weights(config: TrainingConfig, loaded: LoadReport | None) -> str:
    """What a training starts from.

    Args:
        config: with the recipe's name.
        loaded: what became of the weights; None where there are none.

    Returns:
        E.g. ``none, initialised by seed 0``, or ``imagenet, by recipe baseline: 318 tensors loaded``.
    """
    if loaded is None:
        return f"none, initialised by seed {config.train.seed}"
    known = config.recipe in RECIPES[type(config)]
    own = get_recipe(type(config), config.recipe).net.weights if known else ""
    by = f", by recipe {config.recipe}" if own and own == config.net.weights else ""
    return str(replace(loaded, source=f"{loaded.source}{by}"))


def without_weights(config: TrainingConfig) -> str:
    """What speaks against training a network that starts from random numbers.

    Args:
        config: with the recipe's name.

    Returns:
        A sentence; empty where nothing does.
    """
    needs = config.recipe in FROM_WEIGHTS[type(config)]
    if not needs and not config.train.freeze:
        return ""
    if not needs:
        frozen = " ".join(config.train.freeze)
        return (
            f"the network starts from no weights, and --freeze {frozen} keeps the random numbers that it begins with. "
            "Give --weights FILE, or the name of published ones, or leave out --freeze"
        )
    still = ", which what is frozen keeps" if config.train.freeze else ""
    nothing = sorted(RECIPES[type(config)].keys() - FROM_WEIGHTS[type(config)])
    return (
        f"recipe {config.recipe} is for a network that starts from weights, and none are given: this one begins with "
        f"random numbers{still}. Give --weights FILE, or the name of published ones, or a --recipe that starts from "
        f"nothing ({', '.join(nothing)}); docs/models.md says what each starts from"
    )


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings at any depth but those that are about the run; their names are all different."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _options(value)
        elif name not in ABOUT_THE_RUN:
            found[name] = value
    return found


def _option(name: str, value: Any) -> str:
    """A setting as an option of the command line."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return " ".join([f"--{flag}", *map(str, value if isinstance(value, list) else [value])])


def batch_size_for(config: TrainingConfig, *, clips: int, world: int) -> int:
    """The batch size; a recipe's own gives way where a small set has fewer clips, one that was asked for does not.

    Args:
        config: with the batch size and the recipe it began with.
        clips: of the train part that an epoch takes.
        world: number of processes.

    Returns:
        Clips of a step.
    """
    size, parts = config.train.batch_size, world * config.train.accumulate
    own = config.recipe and get_recipe(type(config), config.recipe).train.batch_size
    return clips // parts * parts if size == own and parts <= clips < size else size
