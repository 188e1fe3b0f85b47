"""Segments as text: a table, JSON lines, CSV or SubRip subtitles; on stdout, or a file for each video."""

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from specvid.files import output_folder, write_text
from specvid.pipelines.segments.files import VideoEnd
from specvid.pipelines.segments.merging import Segment
from specvid.text import clock, csv_cell, one_line, path_on_one_line, printable_path

Format = Literal["table", "json", "csv", "srt"]
SUFFIXES: dict[Format, str] = {"table": ".txt", "json": ".jsonl", "csv": ".csv", "srt": ".srt"}
_COLUMNS = ("path", "start_s", "end_s", "first_frame", "last_frame", "rank", "class", "probability", "windows")


class SegmentWriter:
    """Prints segments as they come, or writes a file for each video when it has ended.

    Args:
        format: of the text.
        echo: prints a line, where there is no folder.
        folder: gets ``NAME.srt`` (``.txt``, ``.jsonl``, ``.csv``) of each ``NAME.mp4``; empty to print.
        videos: all that will come, whose files must not have the same name.

    Raises:
        ValueError: subtitles of several videos are to be printed, or two videos would be one file.
    """

    def __init__(
        self, format: Format, echo: Callable[[str], None], *, folder: str = "", videos: Sequence[str] = ()
    ) -> None:
        if format == "srt" and len(videos) > 1 and not folder:
            raise ValueError(
                f"format srt is of one video, here are {len(videos)}: --out FOLDER writes a file for each."
            )
        self.format, self.echo, self.folder = format, echo, folder
        if folder:
            output_folder("out", folder)
            distinct_files(videos, folder, SUFFIXES[format])
        self._lines: list[str] = []
        self._number, self._problem = 0, ""
        self._head()

    def add(self, path: str, segment: Segment) -> None:
        """Take the next segment of a video.

        Args:
            path: the video.
            segment: what happens in it.
        """
        if self.format == "srt" and segment.start_s is None:
            self._problem = "has no frame rate, so subtitles have no times: give --fps"
            return
        self._number += 1
        for line in _LINES[self.format](path, segment, self._number):
            self._line(line)

    def close(self, end: VideoEnd) -> str:
        """End a video: write its file, where there is a folder.

        Args:
            end: of the video.

        Returns:
            Why that is not possible; empty where it is.
        """
        if self.folder and not self._problem:
            file = file_of(end.path, self.folder, SUFFIXES[self.format])
            write_text(file, "".join(f"{line}\n" for line in self._lines))
        problem = self._problem
        self._start()
        return problem

    def fail(self, path: str, error: str) -> None:
        """End a video that has failed: no file is written for it.

        Args:
            path: the video.
            error: why.
        """
        if self.format == "json" and not self.folder:
            self.echo(json.dumps({"path": printable_path(path), "error": error}, ensure_ascii=False))
        self._start()

    def _start(self) -> None:
        self._number, self._lines, self._problem = 0, [], ""
        if self.folder:
            self._head()

    def _head(self) -> None:
        if self.format == "csv":
            self._line(",".join(_COLUMNS))

    def _line(self, line: str) -> None:
        if self.folder:
            self._lines.append(line)
        else:
            self.echo(line)


def file_of(path: str, folder: str, suffix: str) -> Path:
    """The file in a folder that belongs to a video.

    Args:
        path: the video.
        folder: where.
        suffix: of the file.

    Returns:
        Its path: the name of the video with another suffix.
    """
    return Path(folder) / f"{Path(os.path.normpath(path)).stem}{suffix}"


def distinct_files(videos: Sequence[str], folder: str, suffix: str) -> None:
    """Check that videos do not share a file.

    Args:
        videos: their paths.
        folder: where the files will be.
        suffix: of the files.

    Raises:
        ValueError: two of them would.
    """
    taken: dict[Path, str] = {}
    for video in videos:
        file = file_of(video, folder, suffix)
        if file in taken:
            raise ValueError(
                f"{taken[file]!r} and {video!r} would both be {str(file)!r}: predict them into two folders."
            )
        taken[file] = video


def _table_lines(path: str, segment: Segment, number: int) -> list[str]:
    if segment.start_s is None or segment.end_s is None:
        when = f"frames {segment.first_frame}-{segment.last_frame}"
    else:
        when = f"{clock(segment.start_s)}-{clock(segment.end_s)}"
    classes = "  ".join(f"{one_line(name)} {share:.1%}" for name, share in segment.classes)
    return [f"{path_on_one_line(path)}: {when}  {classes}"]


def _json_lines(path: str, segment: Segment, number: int) -> list[str]:
    about = {"path": printable_path(path), **vars(segment)}
    about["classes"] = [(name, round(share, 6)) for name, share in segment.classes]
    return [json.dumps(about, ensure_ascii=False)]


def _csv_lines(path: str, segment: Segment, number: int) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rank, (name, share) in enumerate(segment.classes, start=1):
        span = (segment.start_s, segment.end_s, segment.first_frame, segment.last_frame)
        row = (printable_path(path), *span, rank, name, round(share, 6), segment.windows)
        writer.writerow(["" if value is None else csv_cell(value) for value in row])
    return text.getvalue().splitlines()


def _srt_lines(path: str, segment: Segment, number: int) -> list[str]:
    assert segment.start_s is not None and segment.end_s is not None
    times = [clock(seconds, decimals=3, mark=",").rjust(12, "0") for seconds in (segment.start_s, segment.end_s)]
    return [str(number), " --> ".join(times), *(f"{one_line(n)} {share:.0%}" for n, share in segment.classes), ""]


_LINES: dict[Format, Callable[[str, Segment, int], list[str]]] = {
    "table": _table_lines,
    "json": _json_lines,
    "csv": _csv_lines,
    "srt": _srt_lines,
}
