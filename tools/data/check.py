"""Is a data set whole? Every list, every name, every file to its last frame; what is wrong is said by name."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from specvid.datasets.decode import MIN_READABLE
from specvid.datasets.decode.verify import verify_video
from specvid.datasets.layouts import ucf101
from specvid.errors import VideoError

_NAMED = 20  # clips named per kind of problem, unless all are asked for


@dataclass(frozen=True)
class CheckReport:
    """``title``: what the data set is; ``lines``: what was found, to print; ``problems``: name -> what is wrong with
    it."""

    title: str
    lines: list[str]
    problems: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong, else 1."""
        return 0 if self.ok else 1


def check_ucf101(
    root: str | os.PathLike[str],
    *,
    fast: bool = False,
    workers: int | None = None,
    progress: bool = False,
    min_readable: float = MIN_READABLE,
) -> CheckReport:
    """Check a UCF-101 folder: lists, counts per split, groups, names; then every clip, decoded to its last frame.

    ``fast``: names only, nothing is opened; ``workers``: processes that decode (default: one a core); ``progress``:
    show a bar; ``min_readable``: share of the frames of a clip that must decode. A set cut down to some of the classes
    is accepted if its lists agree with its files, and called cut
    down. A script calls this under ``if __name__ == "__main__":``, like all that starts processes.
    Raises: ``ValueError`` where ``root`` is no UCF-101 at all.
    """
    root = Path(root)
    lists, videos = ucf101.find_lists(root), ucf101.find_videos(root)
    problems: dict[str, str] = {}
    classes = ucf101.read_classes(lists / "classInd.txt")
    splits = {split: _read_split(lists, split, classes, problems) for split in ucf101.SPLITS}
    listed = sorted({name for sides in splits.values() for side in sides for name in side})
    whole_lists = len(classes) == ucf101.CLASSES
    if whole_lists:
        _compare_counts(splits, len(listed), problems)
    title = ucf101.title(classes, whole_lists and not problems)
    lines = [f"{title}: {len(listed):,} clips listed, {len(classes)} classes, in {root}"]
    lines += [
        f"split {split}: {len(train):,} to train, {len(test):,} to test" for split, (train, test) in splits.items()
    ]

    present = [name for name in listed if (videos / name).is_file()]
    for name in sorted(set(listed) - set(present)):
        problems[name] = f"missing: {videos / name} is not there"
    extra = _unlisted(videos, classes, set(listed))
    if extra:
        lines.append(f"note: {len(extra)} files in {videos} are in no list, e.g. {extra[0]}; they are not used")
    if fast:
        lines.append(f"{len(present):,} of {len(listed):,} files are there (names only: nothing was opened)")
    else:
        damaged, noted, frames = _decode_all(videos, present, workers or os.cpu_count() or 1, progress, min_readable)
        problems |= damaged
        lines.append(f"{len(present) - len(damaged):,} of {len(listed):,} clips can be read: {frames:,} frames")
        lines += _note_lines(noted)
    return CheckReport(title, lines + _problem_lines(problems), problems)


def _read_split(lists: Path, split: int, classes: list[str], problems: dict[str, str]) -> tuple[list[str], list[str]]:
    sides: list[list[str]] = []
    for side in ("train", "test"):
        file = f"{side}list{split:02d}.txt"
        try:
            sides.append(ucf101.read_list(lists / file, classes))
        except ValueError as error:
            problems[file] = str(error)
            sides.append([])
    both = sorted(set(sides[0]) & set(sides[1]))
    if both:
        problems[f"split {split}"] = f"{len(both)} clips are in the train list and in the test list, e.g. {both[0]}"
    else:
        try:
            ucf101.check_groups(sides[0], sides[1], f"split {split}")
        except ValueError as error:
            problems[f"split {split}"] = str(error)
    return sides[0], sides[1]


def _compare_counts(splits: dict[int, tuple[list[str], list[str]]], clips: int, problems: dict[str, str]) -> None:
    """All 101 classes are there, so the counts must be the official ones."""
    for split, official in ucf101.SPLITS.items():
        for side, names, count in zip(("train", "test"), splits[split], official, strict=True):
            file = f"{side}list{split:02d}.txt"
            if len(names) != count and file not in problems:
                problems[file] = f"{file} names {len(names):,} clips; the official list names {count:,}"
    if clips != ucf101.CLIPS:
        problems["lists"] = f"the lists name {clips:,} different clips; UCF-101 has {ucf101.CLIPS:,}"


def _unlisted(videos: Path, classes: list[str], listed: set[str]) -> list[str]:
    """Files of the class folders that no list names."""
    folders = [entry for entry in os.scandir(videos) if entry.is_dir() and entry.name in set(classes)]
    names = (f"{folder.name}/{file.name}" for folder in folders for file in os.scandir(folder.path))
    return sorted(name for name in names if name not in listed)


def _decode_all(
    videos: Path, names: Sequence[str], workers: int, progress: bool, min_readable: float
) -> tuple[dict[str, str], dict[str, str], int]:
    """(name -> what is wrong, name -> what is to be said of a usable one, frames of the usable ones)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    damaged: dict[str, str] = {}
    noted: dict[str, str] = {}
    frames = 0
    columns = (
        TextColumn("decoding"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[bad]}"),
    )
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task("", total=len(names), bad="")
        for name, count, error, note in _verify(videos, names, workers, min_readable):
            frames += count
            if note:
                noted[name] = note
            if error:
                damaged[name] = error
            bar.update(task, advance=1, bad=f"{len(damaged)} damaged" if damaged else "")
    return damaged, noted, frames


def _verify(
    videos: Path, names: Sequence[str], workers: int, min_readable: float
) -> Iterator[tuple[str, int, str, str]]:
    """(name, frames, error, note) as they come.

    A file that kills its process is found by giving each of the rest its own.
    """
    rest = set(names)
    try:
        with _pool(min(workers, max(1, len(names)))) as pool:
            jobs = [pool.submit(_verify_one, str(videos), name, min_readable) for name in names]
            for done in as_completed(jobs):
                result = done.result()
                rest.discard(result[0])
                yield result
    except BrokenProcessPool:
        for name in sorted(rest):
            try:
                with _pool(1) as pool:
                    yield pool.submit(_verify_one, str(videos), name, min_readable).result()
            except BrokenProcessPool:
                yield name, 0, f"{videos / name}: is damaged: the decoder crashes on it", ""


def _verify_one(videos: str, name: str, min_readable: float) -> tuple[str, int, str, str]:
    import av

    av.logging.set_level(av.logging.PANIC)  # what is wrong is said once, here
    try:
        found = verify_video(os.path.join(videos, name), min_readable)
        return name, found.frames, "", found.note
    except VideoError as error:
        return name, 0, str(error), ""


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))  # decoders do not survive a fork


def _note_lines(noted: dict[str, str]) -> list[str]:
    if not noted:
        return []
    lines = [f"note: {len(noted):,} of them are not as their headers announce, and are read:"]
    lines += [f"  {name}: {noted[name]}" for name in sorted(noted)[:_NAMED]]
    return lines if len(noted) <= _NAMED else [*lines, f"  ... and {len(noted) - _NAMED:,} more"]


def _problem_lines(problems: dict[str, str]) -> list[str]:
    if not problems:
        return ["nothing is wrong"]
    missing = [text for text in problems.values() if text.startswith("missing: ")]
    other = [text for text in problems.values() if not text.startswith("missing: ")]
    lines = [f"{len(other)} problems, {len(missing)} clips missing:"]
    for texts in (other, missing):
        lines += [f"  {text}" for text in texts[:_NAMED]]
        if len(texts) > _NAMED:
            lines.append(f"  ... and {len(texts) - _NAMED:,} more")
    return lines
