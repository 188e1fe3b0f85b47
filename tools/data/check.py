"""Is a data set complete? Every list, every name, every file to its last frame; what is wrong is named."""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from specvid.cores import usable_cores
from specvid.datasets.clips.spans import frames_of, overrun
from specvid.datasets.decode import MIN_READABLE, open_video
from specvid.datasets.decode.flow_folder import open_folder
from specvid.datasets.decode.opening import describe_stream
from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.datasets.layouts.classes import class_warnings
from specvid.datasets.layouts.media import hidden_below
from specvid.datasets.layouts.registry import ACTION_SETS, REID_SETS, read_action, read_reid
from specvid.datasets.layouts.reid_set import ReidSet
from specvid.errors import VideoError, unknown
from specvid.files import write_text
from specvid.pipelines.reid.features import check_scorable
from specvid.text import counted, csv_cell, path_on_one_line, printable_path
from specvid.tools.data.verify import missing_and_unlisted, verify_files

_NAMED = 20  # files named per kind of problem, the rest counted


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        title: what the data set is.
        lines: what was found, to print.
        problems: what is wrong, by the file or list with which it is wrong.
        warnings: in what files that can be read are not as their headers announce, by the file; and in what clips the
            list is not as their videos are, by the clip.
    """

    title: str
    lines: list[str]
    problems: dict[str, str]
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong, else 1."""
        return 0 if self.ok else 1

    def write(self, path: str | Path) -> None:
        """Write all problems and warnings as a table; the lines name the first ones of each kind only.

        Args:
            path: the CSV file, with the columns ``name`` (file, or what else it is of), ``kind`` (``missing``,
                ``problem`` or ``warning``) and ``text``; it is replaced.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("name", "kind", "text"))
        for name, problem in self.problems.items():
            kind = "missing" if problem.startswith("missing: ") else "problem"
            table.writerow((csv_cell(printable_path(name)), kind, csv_cell(problem)))
        for name, warning in sorted(self.warnings.items()):
            table.writerow((csv_cell(printable_path(name)), "warning", csv_cell(warning)))
        write_text(path, text.getvalue())


def check(
    dataset: str,
    root: str | os.PathLike[str],
    *,
    fast: bool = False,
    workers: int | None = None,
    progress: bool = False,
    min_readable: float = MIN_READABLE,
    **options: Any,
) -> CheckReport:
    """Check a data set: lists of all splits, numbers beside the published ones, files, and each of them decoded.

    A set that is cut down to a part is accepted if its lists agree with its files, and called cut down. A script calls
    this under ``if __name__ == "__main__":``, like all that starts processes.

    Args:
        dataset: its layout.
        root: its folder or table.
        fast: files must be there, none is opened.
        workers: processes that decode; one a core if not given.
        progress: show a bar.
        min_readable: share of the frames of a video that must decode.
        **options: of the data set, as `read_action` takes them; those that are "" or 0 are not given.

    Returns:
        What was found.

    Raises:
        ValueError: ``root`` is no such data set at all.
    """
    root = Path(root)
    sets, problems = _read_splits(dataset, root, options)
    first = sets[0]
    if isinstance(first, ReidSet):
        paths, headline = _tracklet_files(sets)
        noun = "frames"
        for data in sets:
            problems |= _scorable(data)
    else:
        paths = list(dict.fromkeys(str(record.path) for data in sets for record in data.records))
        names = {record.name for data in sets for record in data.records}
        headline = f"{counted(len(names), 'clip')} listed, {counted(len(first.classes), 'class')}"
        noun = "clips" if len(paths) == len(names) else "files"  # a file may hold several clips
    lines = [f"{first.title}: {headline}, in {root}"]
    for name, (here, published) in {name: pair for data in sets for name, pair in data.counts.items()}.items():
        lines.append(f"  {name}: {here:,}" + ("" if published is None else f" (published: {published:,})"))
        if published is not None and here != published and not first.is_cut_down:
            problems[name] = f"{name}: {here:,} here, {published:,} published"

    missing, unlisted = missing_and_unlisted(paths)
    problems |= {
        path: describe_stream(path) or f"missing: {path_on_one_line(path)} is not there" for path in sorted(missing)
    }
    warnings = [warning for data in sets for warning in data.warnings]
    warnings += [warning for data in sets if isinstance(data, ActionSet) for warning in class_warnings(data)]
    lines += [f"warning: {warning}" for warning in dict.fromkeys(warnings)]
    if hidden := hidden_below([root]) if root.is_dir() else []:
        lines.append(
            f"warning: left out, e.g. {path_on_one_line(hidden[0])}: {counted(len(hidden), 'hidden file')} (or folders)"
        )
    if unlisted:
        example = path_on_one_line(unlisted[0])
        lines.append(f"warning: {counted(len(unlisted), 'file')} in no list and not used, e.g. {example}")
    present = [path for path in paths if path not in missing]
    in_files: dict[str, str] = {}
    overrunning: dict[str, str] = {}
    if fast:
        lines.append(f"{len(present):,} of {len(paths):,} {noun} are there (names only: nothing was opened)")
    else:
        settings: dict[str, Any] = {"min_readable": min_readable, "workers": workers or usable_cores()}
        found = list(verify_files(present, images=noun == "frames", progress=progress, **settings))
        problems |= {report.path: report.error for report in found if report.error}
        frames = "" if noun == "frames" else f": {sum(report.frames for report in found):,} frames"
        readable = sum(not report.error for report in found)
        if noun != "frames":
            spans = [record for data in sets for record in data.records]
            outside, overrunning = _check_spans(spans, set(missing) | set(problems))
            problems |= outside
            lines += _warning_lines(
                overrunning, "listed to end after the end of the video, to which it is cut:", "clip"
            )
        lines.append(f"{readable:,} of {len(paths):,} {noun} can be read{frames}")
        in_files = {report.path: report.warning for report in found if report.warning}
        lines += _warning_lines(in_files, "are not as their headers announce, and are read:")
        in_files |= overrunning
    return CheckReport(first.title, lines + _problem_lines(problems, noun), problems, in_files)


def _read_splits(dataset: str, root: Path, options: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, str]]:
    """All splits that can be read, and what is wrong with the others. ValueError where it is no such set at all."""
    if dataset not in {**ACTION_SETS, **REID_SETS}:
        raise unknown("data set", dataset, [*ACTION_SETS, *REID_SETS])
    given = {name: value for name, value in options.items() if value}
    if given and dataset not in ACTION_SETS:
        raise ValueError(f"{', '.join(given)} is given, but {dataset} brings its own: leave it out.")
    read: Callable[..., ActionSet | ReidSet] = partial(read_action, **given) if dataset in ACTION_SETS else read_reid
    sets: list[ActionSet | ReidSet] = []
    problems: dict[str, str] = {}
    first: ValueError | None = None
    for split in count(1):
        if sets and split > sets[0].splits:
            return sets, problems
        try:
            sets.append(read(dataset, root, split=split))
        except ValueError as error:
            if first is not None and not sets:
                raise first from None
            first = first or error
            problems[f"split {split}"] = str(error)
    raise AssertionError


def _check_spans(records: Sequence[VideoRecord], unreadable: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Time spans that lie outside of their videos, and those that end long after them, by the names of their clips."""
    spans: dict[Path, dict[str, VideoRecord]] = {}
    for record in records:
        if (record.start_s or record.end_s is not None) and str(record.path) not in unreadable:
            spans.setdefault(record.path, {})[record.name] = record
    problems, overrunning = {}, {}
    for path, clips in spans.items():
        with open_folder(path) if path.is_dir() else open_video(path) as video:
            for name, record in clips.items():
                try:
                    frames_of(video, record)
                except VideoError as error:
                    problems[name] = str(error)
                    continue
                if warning := overrun(video, record):
                    overrunning[name] = warning
    return problems, overrunning


def _tracklet_files(sets: Sequence[ReidSet]) -> tuple[list[str], str]:
    """The frames of all tracklets, each tracklet once, and how many of both there are."""
    tracklets = {tracklet.name: tracklet for data in sets for tracklet in (*data.train, *data.test)}.values()
    paths = [os.path.join(tracklet.folder, frame) for tracklet in tracklets for frame in tracklet.frames]
    return paths, f"{len(tracklets):,} tracklets, {len(paths):,} frames"


def _scorable(data: ReidSet) -> dict[str, str]:
    """A problem where no query of the split has a match."""
    try:
        check_scorable(data)
    except ValueError as error:
        return {f"score {data.split}": str(error)}
    return {}


def _warning_lines(warnings: Mapping[str, str], what: str, noun: str = "") -> list[str]:
    """The first warnings of files or clips that can be read, by name, the others counted."""
    if not warnings:
        return []
    lines = [f"warning: {counted(len(warnings), noun) if noun else f'{len(warnings):,} of them'} {what}"]
    lines += [f"  {path_on_one_line(path)}: {warnings[path]}" for path in sorted(warnings)[:_NAMED]]
    return lines if len(warnings) <= _NAMED else [*lines, f"  ... and {len(warnings) - _NAMED:,} more"]


def _problem_lines(problems: Mapping[str, str], noun: str) -> list[str]:
    """The first problems of either kind, the others counted."""
    if not problems:
        return ["nothing is wrong"]
    missing = [text for text in problems.values() if text.startswith("missing: ")]
    other = [text for text in problems.values() if not text.startswith("missing: ")]
    lines = [f"{counted(len(other), 'problem')}, {counted(len(missing), noun.removesuffix('s'))} missing:"]
    for texts in (other, missing):
        lines += [f"  {text}" for text in texts[:_NAMED]]
        if len(texts) > _NAMED:
            lines.append(f"  ... and {len(texts) - _NAMED:,} more")
    return lines
