"""Which score of a run its row is made of: the one that its training ended with, of the same clips in each run.

A run may be scored again: with other views, from another checkpoint, on all clips where it was trained with a limit,
with mirror images. Each of these stands in its results.json, in any order, and some take the place of the first one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specvid.config import differences
from specvid.errors import unknown
from specvid.pipelines.ablate.grid import Arm
from specvid.pipelines.engine.listing import load_listing
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reporting.table import read_figures
from specvid.text import counted

_UNSAID = {"modality": "rgb", "interpolation": "bilinear", "trained_on": 0}  # what an entry means that names none
_ASKED = {
    "reid": ("dataset", "source", "split", "checkpoint", "sampling", "rerank", "interpolation", "trained_on"),
    "action": ("dataset", "split", "checkpoint", "clips", "crops", "listed", "modality", "interpolation", "trained_on"),
}
_OF_TRAINING = frozenset(
    {"val_fraction", "flip", "jitter", "erase", "crop", "zoom", "balance", "identities", "tracklets", "repeats"}
)
"""Settings of clips that no test sees."""


@dataclass(frozen=True)
class Scored:
    """One score of a run.

    Attributes:
        run: its folder.
        values: the figures, shares of 1.
        context: what they are of: data set, split, protocol, checkpoint, views or sampling.
        tested: names of the clips or tracklets of the test part; None of a run that kept no lists.
    """

    run: str
    values: Mapping[str, float]
    context: Mapping[str, Any]
    tested: frozenset[str] | None


def read_scored(run: RunFolder, arm: Arm, task: str, protocol: str) -> Scored:
    """The score that a training ended with.

    Args:
        run: the finished run.
        arm: its row, with all settings.
        task: of the run.
        protocol: of re-identification; if empty, that of MARS with averages as published, or that of the data set.

    Returns:
        The score.

    Raises:
        ValueError: the results have none, or not under this protocol; or its test clips were trained on.
    """
    listing = load_listing(run.path)
    tested = None if listing is None else frozenset(listing.parts.get("test", {}))
    wanted = _asked(run, arm, tested)
    seen: list[tuple[list[str], Mapping[str, Any]]] = []

    def is_wanted(entry: Mapping[str, Any]) -> bool:
        own = {name: entry.get(name, _UNSAID.get(name, "")) for name in _ASKED[task] if name in wanted}
        changed = ["fused: of several runs"] if "fused" in entry else differences(wanted, own)
        seen.append((changed, entry))
        return not changed

    found = {str(one.context.get("protocol", "")): one for one in read_figures(run.path / "results.json", is_wanted)}
    changed, entry = min(seen, key=lambda one: len(one[0]), default=(["no evaluations"], {}))
    if changed:
        raise _none(run, task, changed)
    if task == "reid":
        own = str(entry.get("protocol") or next(iter(found), ""))
        protocol = protocol or ("mars-ap" if "mars-ap" in found else own)
    if protocol not in found:
        raise unknown(f"run {str(run.path)!r}: protocol", protocol, found)
    figures, context = found[protocol], dict(found[protocol].context)
    if task == "reid":
        parts = [part for part in entry["protocols"].values() if part.get("protocol") == protocol]
        context["gallery"] = parts[0].get("gallery_tracklets", "")
    context |= {name: entry[name] for name in _UNSAID if entry.get(name, _UNSAID[name]) != _UNSAID[name]}
    context = {name: value for name, value in context.items() if value != ""}
    return Scored(str(run.path), figures.values, context, tested)


def view_of(arm: Arm) -> str:
    """The settings that decide what a row is scored on: rows that have them in common have the same test.

    Args:
        arm: the row, with all settings.

    Returns:
        A text, equal for such rows.
    """
    net, clips = arm.resolved["net"], arm.resolved["clips"]
    own = {name: value for name, value in arm.resolved.items() if name.startswith("test_")}
    own |= {name: value for name, value in clips.items() if name not in _OF_TRAINING}
    # a backbone brings clips of its own; and weights of a run draw a test part without what they were trained on
    own |= {"model": net["model"], "weights": net["weights"]}
    return json.dumps(own, sort_keys=True)


def require_same_test(first: Scored, other: Scored) -> None:
    """Refuse to compare figures of different test clips, or of different views of them.

    Args:
        first: of one run.
        other: of another one, whose row asks for the same test (`view_of`).

    Raises:
        ValueError: they are not of the same test.
    """
    changed = differences(first.context, other.context)
    if first.tested is not None and other.tested is not None and first.tested != other.tested:
        alone = len(other.tested - first.tested), len(first.tested - other.tested)
        changed.append(f"{counted(alone[0], 'test item')} of its own, {alone[1]} of the other's are lacking")
    if changed:
        raise ValueError(
            f"runs {first.run!r} and {other.run!r} are not scored on the same test, and cannot be compared: "
            f"{'; '.join(changed)}. Score both on the same data, or train one of them again."
        )


def _asked(run: RunFolder, arm: Arm, tested: frozenset[str] | None) -> dict[str, Any]:
    """What the entry of a training's own score says, as far as it is known."""
    settings, meta = arm.resolved, run.meta("last")
    data, spec = (part if isinstance(part := meta.get(name), Mapping) else {} for name in ("data", "input"))
    asked = {"split": settings["clips"]["split"], "checkpoint": "last", "trained_on": 0}
    asked["interpolation"] = spec.get("interpolation", _UNSAID["interpolation"])
    if "title" in data:
        asked["dataset"] = data["title"]
    if "test_sampling" in settings:
        return asked | {"sampling": settings["test_sampling"], "source": "", "rerank": ""}
    asked |= {"clips": settings["test_clips"], "crops": settings["test_crops"]}
    asked["modality"] = settings["clips"]["modality"]
    return asked if tested is None else asked | {"listed": len(tested)}


def _none(run: RunFolder, task: str, changed: list[str]) -> ValueError:
    """What to say of a run without the score of its training."""
    if len(changed) == 1 and changed[0].startswith("trained_on: "):
        return ValueError(
            f"run {str(run.path)!r} has no score of a test that its weights were not trained on ({changed[0]}): give "
            "weights that do not know the test part."
        )
    return ValueError(
        f"run {str(run.path)!r} has no score of what its row is to be scored on: that in its results.json differs "
        f"({'; '.join(changed)}). `specvid train {task} --config {run.path}/config.json --resume auto` scores it again "
        "as its training does."
    )
