"""Does every file decode? In several processes; a file that kills its process is found and named."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from specvid.datasets.decode.images import read_frame
from specvid.datasets.decode.verify import verify_video
from specvid.datasets.layouts.media import is_hidden
from specvid.errors import VideoError
from specvid.text import path_on_one_line
from specvid.tools.data.pool import run_tasks

_IMAGES_A_TASK = 256  # handing over one image costs more than decoding it


@dataclass(frozen=True)
class FileReport:
    """What became of a file.

    Attributes:
        path: of the file, or of the folder of frames.
        frames: that can be used.
        error: why it cannot be read; empty where it can.
        warning: what is unusual about one that can.
    """

    path: str
    frames: int = 0
    error: str = ""
    warning: str = ""


def verify_files(
    paths: Sequence[str], *, images: bool, min_readable: float, workers: int, progress: bool
) -> Iterator[FileReport]:
    """Decode files to their last frame.

    Args:
        paths: videos and folders of frames, or single images.
        images: they are single images.
        min_readable: share of the frames of a video that must decode.
        workers: processes.
        progress: show a bar.

    Yields:
        The report of each file, as they come.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    step = _IMAGES_A_TASK if images else 1
    tasks = [list(paths[start : start + step]) for start in range(0, len(paths), step)]
    columns = (TextColumn("decoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bad = TextColumn("{task.fields[bad]}")
    with Progress(*columns, bad, disable=not progress) as bar:
        shown, damaged = bar.add_task("", total=len(paths), bad=""), 0
        for report in _run(tasks, images, min_readable, workers):
            damaged += bool(report.error)
            bar.update(shown, advance=1, bad=f"{damaged} damaged" if damaged else "")
            yield report


def _run(tasks: list[list[str]], images: bool, min_readable: float, workers: int) -> Iterator[FileReport]:
    """The reports of all tasks. Of a task that kills its process, each file gets one of its own."""
    arguments = [(task, images, min_readable) for task in tasks]
    for (paths, *_), reports in run_tasks(arguments, verify_task, workers):
        if reports is not None:
            yield from reports
        elif len(paths) > 1:
            yield from _run([[path] for path in paths], images, min_readable, 1)
        else:
            yield FileReport(paths[0], error=f"{path_on_one_line(paths[0])}: is damaged: the decoder crashes on it")


def verify_task(paths: list[str], images: bool, min_readable: float) -> list[FileReport]:
    """Decode some files in this process.

    Args:
        paths: of the files.
        images: they are single images.
        min_readable: share of the frames of a video that must decode.

    Returns:
        Their reports.
    """
    import av

    av.logging.set_level(av.logging.PANIC)  # what is wrong is reported once, here
    reports = []
    for path in paths:
        try:
            if images:
                read_frame(path)
                reports.append(FileReport(path, 1))
            else:
                found = verify_video(path, min_readable)
                reports.append(FileReport(path, found.frames, warning=found.warning))
        except VideoError as error:
            reports.append(FileReport(path, error=str(error)))
        except Exception as error:  # whatever a file makes a decoder do: it is named, and the others go on
            message = " ".join(str(error).split())
            reports.append(FileReport(path, error=f"{path_on_one_line(path)}: {type(error).__name__}: {message}"))
    return reports


def missing_and_unlisted(paths: Sequence[str]) -> tuple[set[str], list[str]]:
    """Compare a list of files with the folders that they are in; each folder is read once, quick for a million files.

    Args:
        paths: files, or folders of frames.

    Returns:
        Those that are not there, and what lies beside the others and is not listed, hidden files left out.
    """
    listed: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        listed.setdefault(folder, set()).add(name)
    missing, unlisted = set(), []
    for folder, names in listed.items():
        here = folder or os.curdir
        found = {name for name in os.listdir(here) if not is_hidden(name)} if os.path.isdir(here) else set()
        missing |= {os.path.join(folder, name) for name in names - found}
        unlisted += [os.path.join(folder, name) for name in found - names]
    return missing, sorted(unlisted)
