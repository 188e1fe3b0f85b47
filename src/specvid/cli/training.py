"""What the verbs of ``specvid train`` share: the settings that their options start from."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from specvid.cli.verb import take
from specvid.config import read_config
from specvid.models.trust import require_trust
from specvid.pipelines.engine.config import TrainingConfig
from specvid.pipelines.engine.recipes import get_recipe

Config = TypeVar("Config", bound=TrainingConfig)
_TRUST = "--trust"


def starting_config(
    words: list[str], kind: type[Config], recipe_for: Callable[[str, str], str]
) -> tuple[Config, list[str]]:
    """The settings that a command line starts from: of a run's config, of a named recipe, or of the one that fits.

    Args:
        words: of the command line.
        kind: the task's config.
        recipe_for: names the recipe that fits a model and its weights, where none is named.

    Returns:
        The settings, and the words without ``--config``, ``--trust`` and ``--recipe``.

    Raises:
        ValueError: both are given, the config or the recipe cannot be read, or the config names code and is not
            trusted.
    """
    path, rest = take(words, "--config")
    trusted = _TRUST in rest
    if trusted and path is None:
        raise ValueError("--trust belongs to --config: without one, all that is run is named in your command.")
    name, rest = take(rest, "--recipe")
    if path is None:
        model, weights = (take(rest, flag)[0] or "" for flag in ("--model", "--weights"))
        return get_recipe(kind, name or recipe_for(model, weights)), rest
    if name is not None:
        raise ValueError(f"--config {path!r} and --recipe {name!r} exclude each other: a config holds all settings.")
    config, rest = read_config(kind, path), [word for word in rest if word != _TRUST]
    if not take(rest, "--model")[0]:
        require_trust({"name": config.net.model}, where=path, trusted=trusted)
    resume, _ = take(rest, "--resume")
    # The same settings in a run of its own, unless that run is to be continued.
    return dataclasses.replace(config, name=config.name if resume == "auto" else "", resume="never"), rest
