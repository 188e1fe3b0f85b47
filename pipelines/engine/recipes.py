"""Recipes: settings that are known to go together, by name. Each task registers its own, in its ``recipes.py``."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from specvid.pipelines.engine.config import TrainingConfig
from specvid.registry import Registry

Config = TypeVar("Config", bound=TrainingConfig)

RECIPES: dict[type[TrainingConfig], Registry[Callable[[], TrainingConfig]]] = defaultdict(partial(Registry, "recipe"))


def recipe(kind: type[Config]) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register a recipe under the name of its function.

    Args:
        kind: the task's config.

    Returns:
        A decorator.
    """

    def register(function: Callable[[], Config]) -> Callable[[], Config]:
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
