"""Which settings the options of ``specvid train`` start from: a run's config, a named recipe, or the one that fits."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from specvid.cli.verb import take
from specvid.config import read_config

Config = TypeVar("Config")


def starting_settings(
    words: list[str], kind: type[Config], get_recipe: Callable[[str], Config], recipe_for: Callable[[list[str]], str]
) -> tuple[Config, list[str]]:
    """Settings to start from, and the words without ``--config`` and ``--recipe``.

    ``recipe_for`` names the recipe that fits the words where none is named. ValueError where both are given, or the
    config or the recipe cannot be read.
    """
    path, rest = take(words, "--config")
    name, rest = take(rest, "--recipe")
    if path is None:
        return get_recipe(name or recipe_for(rest)), rest
    if name is not None:
        raise ValueError(f"--config {path!r} and --recipe {name!r} exclude each other: a config holds all settings.")
    config: Any = read_config(kind, path)
    resume, _ = take(rest, "--resume")
    # The same settings in a run of its own, unless that run is to be continued.
    return dataclasses.replace(config, name=config.name if resume == "auto" else "", resume="never"), rest
