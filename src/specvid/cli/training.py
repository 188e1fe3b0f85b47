"""What the verbs of ``specvid train`` share: the settings that their options start from."""

import dataclasses
import os
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from specvid.cli.verb import take
from specvid.config import differences, read_config, to_dict
from specvid.errors import SpecvidWarning
from specvid.models.trust import require_trust
from specvid.pipelines.engine.config import ABOUT_THE_RUN, TrainingConfig
from specvid.pipelines.engine.recipes import RECIPES, get_recipe

Config = TypeVar("Config", bound=TrainingConfig)
_TRUST = "--trust"


EXTRA = {
    "--config FILE": "The settings of a run's config.json, but --runs and --nodes, for a run of its own; with "
    "--resume auto, to continue it.",
    "--trust": "Also a config that names code of somebody else, which then runs.",
}


def describe_recipes(kind: type[TrainingConfig]) -> str:
    """What each recipe sets, beside the defaults.

    Args:
        kind: the task's config.

    Returns:
        Lines.
    """
    plain = to_dict(kind())
    lines = ["recipes (--recipe NAME), and what each sets; --recipe NAME --help-all shows all options under it:"]
    for name in RECIPES[kind]:
        settings = to_dict(get_recipe(kind, name))
        changed = [text.replace(": ", " ", 1) for text in differences(plain, settings, but=ABOUT_THE_RUN)]
        text = "; ".join(changed) or "the defaults"
        lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13)
    return "\n".join(lines)


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
        ValueError: both are given, one of them cannot be read, or the config names code and is not trusted.
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
    continued = take(rest, "--resume")[0] == "auto"
    # The same settings in a run of its own, unless that run is to be continued. Where it is written, and with how many
    # machines, is said by the command, not by a file that may be somebody else's.
    runs = _runs(path, config.name) if continued else kind().runs
    if take(rest, "--runs")[0] is None and os.path.abspath(runs) != os.path.abspath(config.runs):
        text = f"config {path!r} says runs {config.runs!r}, which is not taken: {runs!r} is, or what --runs says"
        warnings.warn(text, SpecvidWarning, stacklevel=2)
    train = dataclasses.replace(config.train, nodes=1)
    name = config.name if continued else ""
    return dataclasses.replace(config, name=name, runs=runs, train=train, resume="never"), rest


def _runs(path: str, name: str) -> str:
    """Where the run of a config.json lies: beside others in the folder above its own, else in the usual place."""
    folder = Path(path).parent
    named = folder if folder.name else folder.absolute()
    return str(named.parent) if named.name == name else TrainingConfig().runs
