"""An action data set: clips to train on, to validate on and to test on, each with its class or classes.

A layout is a function ``read(root, *, split=1) -> ActionSet`` in a file of its own, registered with ``@action_set``.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specvid.datasets.layouts.base import DataSet, no_folder
from specvid.datasets.layouts.media import is_hidden
from specvid.datasets.layouts.text import read_text
from specvid.registry import Registry

ACTION_SETS: Registry[Callable[..., "ActionSet"]] = Registry("dataset")
"""Readers by the name of their data set. `specvid.datasets.layouts.registry` fills it."""


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One clip of a list: a video file, a folder of frames, or a time span of either.

    Args:
        path: the file, which may be missing.
        name: as in the list; unique in its list.
        label: class from 0; the first one where there are several, -1 where there is none.
        group: clips of one source share it, and stand on one side of every split; "" is a source of its own.
        labels: all classes of a clip that may have several; empty where `label` is the only one.
        start_s: the clip begins so many seconds into the video.
        end_s: it ends before this second; None is the end of the video.
        weight: of the clip in training.
    """

    path: Path
    name: str
    label: int
    group: str = ""
    labels: tuple[int, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class ActionSet(DataSet):
    """One split of an action data set.

    Every clip that a list names is in it, whether or not its file is there: a missing test clip is scored as wrong, so
    it must stay.

    Args:
        classes: names, in the order of their labels.
        train: clips to train on.
        test: clips to test on.
        validation: clips to validate on, where the data set brings such a part besides.
        is_multilabel: a clip may have several classes, or none.
    """

    classes: list[str] = field(repr=False)
    train: list[VideoRecord] = field(repr=False)
    test: list[VideoRecord] = field(repr=False)
    validation: list[VideoRecord] = field(default_factory=list, repr=False)
    is_multilabel: bool = False

    @property
    def records(self) -> list[VideoRecord]:
        """All clips of the split."""
        return [*self.train, *self.validation, *self.test]


def action_set(name: str) -> Callable[[Callable[..., ActionSet]], Callable[..., ActionSet]]:
    """Register the reader of a data set.

    Args:
        name: as ``--dataset`` takes it.

    Returns:
        The decorator.

    Raises:
        ValueError: the name is taken.
    """
    return ACTION_SETS.register(name)


def hold_out(
    records: Sequence[VideoRecord], fraction: float, *, seed: int
) -> tuple[list[VideoRecord], list[VideoRecord]]:
    """Split a list in two: whole groups, a fraction of each class's, at least one and not all.

    Clips of a group are cut from one source: holding out single clips would make a score on them far too good. Where
    clips have several classes, the groups are drawn from all. Which come first is decided by their names and the seed
    alone, so clips that are added later hardly move the others.

    Args:
        records: the list.
        fraction: of its groups to hold out, 0 to 1.
        seed: of the choice.

    Returns:
        The clips that stay and those that are held out, both in the order of the list.

    Raises:
        ValueError: a class has one group only, or would lose all.
    """
    if not fraction:
        return list(records), []
    by_label: dict[int, set[str]] = {}
    for record in records:
        label = -1 if record.labels else record.label  # of several classes none decides: one draw from all groups
        by_label.setdefault(label, set()).add(record.group or record.name)
    held: set[str] = set()
    for label in sorted(by_label):
        groups = sorted(by_label[label])
        if len(groups) < 2:
            raise ValueError(f"fraction {fraction}: {groups[0]} is the only group of its class, none can be held out.")
        count = min(max(1, round(fraction * len(groups))), len(groups) - 1)
        order = sorted(groups, key=lambda group: _place(group, seed))
        count -= len(held & by_label[label])  # a source may have clips of several classes
        held |= set([group for group in order if group not in held][: max(0, count)])
    for label, own in by_label.items():
        if own <= held:
            raise ValueError(
                f"fraction {fraction}: the sources of class {label} have clips of other classes too, and all of them "
                "would be held out: take a smaller fraction, or another split."
            )
    stays = [record for record in records if (record.group or record.name) not in held]
    return stays, [record for record in records if (record.group or record.name) in held]


def _place(group: str, seed: int) -> bytes:
    """Where a group stands in the draw of a seed."""
    return hashlib.blake2b(f"{seed}/{group}".encode("utf-8", "backslashreplace"), digest_size=16).digest()


def check_parts(parts: Iterable[Sequence[VideoRecord]], where: str, *, by: str = "group") -> None:
    """Check that nothing stands in two parts of a split: clips of a group are cut from one source.

    Args:
        parts: the clips of each part.
        where: what to call the lists.
        by: ``group``, or ``name`` where groups are not known or published splits do not keep to them.

    Raises:
        ValueError: a group, or a clip, is in two of them.
    """
    seen: dict[str, int] = {}
    both = set()
    for number, records in enumerate(parts):
        for key in {(record.group if by == "group" else "") or record.name for record in records}:
            if seen.setdefault(key, number) != number:
                both.add(key)
    if both:
        what = "groups" if by == "group" else "clips"
        why = "clips of one source stay on one side" if by == "group" else "every clip stands on one side"
        raise ValueError(
            f"{where}: {len(both)} {what} are in more than one of the lists to train on, to validate on and to test "
            f"on, e.g. {min(both)}; {why}."
        )


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file that are not empty, without space around them.

    Args:
        path: the file.
        what: what it is, for the message.

    Returns:
        The lines.

    Raises:
        ValueError: it is missing, or no UTF-8.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); it is {what}.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def find_folder(
    root: Path, choices: Sequence[str], holds: str, title: str, dataset: str = "", *, what: str = ""
) -> Path:
    """The first of some folders that holds a file.

    Args:
        root: of the data set.
        choices: folders below it, ``.`` for itself.
        holds: a file name, or a pattern with ``*``.
        title: the data set.
        dataset: its name, where ``specvid data prepare`` makes it.
        what: the file in words, where the pattern says little.

    Returns:
        The folder.

    Raises:
        ValueError: none does, or ``root`` is no folder.
    """
    own = " Clips of your own are the data set `folders` (CLASS/*.mp4) or `table` (a list of files), not this one."
    if not root.is_dir():
        raise ValueError(f"{no_folder(root, f'the root of {title}')}{own}")
    for choice in choices:
        if next((root / choice).glob(holds), None) is not None:
            return root / choice
    fix = f" `specvid data prepare {dataset}` makes the official layout from the archives." if dataset else ""
    raise ValueError(
        f"{root} is not {title}: none of its folders {', '.join(choices)} holds {what or holds}.{fix}{own}"
    )


def files_by_stem(folder: Path) -> dict[str, str]:
    """What is in a folder, by name without suffix: for lists that name clips by a number.

    Args:
        folder: of video files or of folders of frames; it may be missing.

    Returns:
        {name without suffix: name}.
    """
    if not folder.is_dir():
        return {}
    return {os.path.splitext(name)[0]: name for name in os.listdir(folder) if not is_hidden(name)}


def published(
    title: str, *, classes: tuple[int, int], train: tuple[int, int], test: tuple[int, int], split: int = 0
) -> dict[str, Any]:
    """Title and counts of an `ActionSet`, beside the published numbers.

    Args:
        title: the published set.
        classes: number here, published.
        train: clips to train on, here and published.
        test: clips to test on, here and published.
        split: its number, where there are several.

    Returns:
        Its fields ``title``, ``is_complete``, ``is_cut_down`` and ``counts``.
    """
    which = f"split {split}, " if split else ""
    counts = {"classes": classes, f"{which}clips to train on": train, f"{which}clips to test on": test}
    is_complete = all(here == there for here, there in counts.values())
    name = title
    if classes[0] < classes[1]:
        name = f"{title} cut down to {classes[0]} of {classes[1]} classes"
    elif not is_complete:
        name = f"{title} with other numbers of clips than the official lists"
    return {"title": name, "is_complete": is_complete, "is_cut_down": classes[0] < classes[1], "counts": counts}
