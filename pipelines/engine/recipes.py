"""Recipes: settings that are known to go together, by name. Each task registers its own, in its ``recipes.py``."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from specvid.errors import unknown
from specvid.pipelines.engine.config import TrainingConfig

Config = TypeVar("Config", bound=TrainingConfig)

RECIPES: dict[type[TrainingConfig], dict[str, Callable[[], TrainingConfig]]] = {}


def recipe(kind: type[Config]) -> Callable[[Callable[[], Config]], Callable[[], Config]]:
    """Register a recipe under the name of its function.

    Args:
        kind: the task's config.

    Returns:
        A decorator.
    """

    def register(function: Callable[[], Config]) -> Callable[[], Config]:
        RECIPES.setdefault(kind, {})[function.__name__] = function
        return function

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
    own = RECIPES.get(kind, {})
    if name not in own:
        raise unknown("recipe", name, own)
    config = own[name]()
    assert isinstance(config, kind)
    return replace(config, recipe=name)
