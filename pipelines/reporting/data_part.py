"""The data of a run, where they lie now: counts, what is missing, and what was skipped and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from specvid.config import read_config
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.reid_set import ReidSet, Tracklet
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.data import read_lists as read_action_lists
from specvid.pipelines.action.data import read_set
from specvid.pipelines.action.sides import keep_sides
from specvid.pipelines.engine.listing import load_listing
from specvid.pipelines.engine.training import Lists
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.data import read_lists as read_reid_lists
from specvid.pipelines.reporting.runs import RunRecord
from specvid.text import path_on_one_line, printable_path

_MOST = 20  # messages of one kind
_KINDS = {
    "unreadable_files": "could not be read; other clips stood in for them in training",
    "repeated_files": "gave frames more than once",
    "unusual_files": "read, though not as header or list announce",
}


@dataclass(frozen=True)
class DataPart:
    """What a report says of a run's data.

    Attributes:
        title: of the data set, with its split.
        folder: where it lies.
        parts: for each part: its name, what is listed, how many of the files are not there.
        counts: what there is, how many here, how many published (empty where nothing is published).
        warnings: about the lists, a sentence each.
        skipped: for each kind of trouble that training met: what it is, and the files with their reasons.
        clips: the test clips by name, of an action data set.
        tracklets: the test tracklets by name, of a re-ID data set.
    """

    title: str
    folder: str
    parts: Sequence[tuple[str, int, int]] = ()
    counts: Sequence[tuple[str, int, str]] = ()
    warnings: Sequence[str] = ()
    skipped: Sequence[tuple[str, list[str]]] = ()
    clips: Mapping[str, VideoRecord] = field(default_factory=dict, repr=False)
    tracklets: Mapping[str, Tracklet] = field(default_factory=dict, repr=False)


def read_data(run: RunRecord, *, data: str = "") -> DataPart:
    """Read the lists of a run's data set.

    Only files that these lists name are opened later: a run's folder names clips, never files.

    Args:
        run: the run.
        data: the folder of the data set; where the run's config says if not given.

    Returns:
        What there is.

    Raises:
        ValueError: there is no config, or no data where it says.
    """
    skipped = _skipped(run)
    if run.task == "action":
        clips = read_config(ActionConfig, run.path / "config.json").clips
        clips = replace(clips, data=data or clips.data)
        lists, found = read_action_lists(clips), read_set(clips)
        if clips.test_fraction and (before := load_listing(run.path)):
            lists = keep_sides(lists, before)
        test = {record.name: record for record in lists.test}
        return _part(lists, clips.data, found.counts, found.warnings, skipped, clips=test)
    if run.task == "reid":
        own = read_config(ReidConfig, run.path / "config.json").clips
        own = replace(own, data=data or own.data)
        tracklets = read_reid_lists(own)
        of_test = {tracklet.name: tracklet for tracklet in tracklets.data.test}
        held: ReidSet = tracklets.data
        return _part(tracklets, own.data, held.counts, held.warnings, skipped, tracklets=of_test)
    raise ValueError(f"task {run.task!r} is none whose data are known" if run.task else "there is no config.json")


def _part(
    lists: Lists, folder: str, counts: Mapping[str, Any], warnings: Sequence[str], skipped: Any, **named: Any
) -> DataPart:
    return DataPart(
        f"{printable_path(lists.title)}, split {lists.split}",
        path_on_one_line(folder),
        [(part, len(files), _missing(files)) for part, files in lists.parts.items()],
        [(what, here, "" if published is None else f"{published:,}") for what, (here, published) in counts.items()],
        list(map(printable_path, warnings)),
        skipped,
        **named,
    )


def _missing(files: Sequence[Path]) -> int:
    return sum(not file.exists() for file in files)


def _skipped(run: RunRecord) -> list[tuple[str, list[str]]]:
    """What the epochs say of files, each once."""
    found = []
    for kind, words in _KINDS.items():
        lists = [line.get(kind) for line in run.lines]
        names = list(dict.fromkeys(str(name) for own in lists if isinstance(own, list) for name in own))
        if names:
            more = [f"... and {len(names) - _MOST} more, see metrics.jsonl"] if len(names) > _MOST else []
            found.append((f"{len(names)} {words}", [*map(printable_path, names[:_MOST]), *more]))
    return found
