"""Unpack data sets as they are distributed into the layout that specvid reads. Repeatable; a broken run leaves
nothing half done."""

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from specvid.tools.data.check import CheckReport, check_ucf101

VIDEOS = "UCF101.rar"
LISTS = "UCF101TrainTestSplits-RecognitionTask.zip"
SOURCE = "https://www.crcv.ucf.edu/data/UCF101"
_LIST_FILES = ["classInd.txt", *(f"{side}list{split:02d}.txt" for side in ("train", "test") for split in (1, 2, 3))]

# Programs that unpack .rar, and how: {archive} into {folder}.
UNPACKERS = {
    "bsdtar": ["bsdtar", "-x", "-f", "{archive}", "-C", "{folder}"],
    "unar": ["unar", "-quiet", "-no-directory", "-output-directory", "{folder}", "{archive}"],
    "unrar": ["unrar", "x", "-idq", "-y", "{archive}", "{folder}/"],
}


def prepare_ucf101(
    archives: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    say: Callable[[str], None] = print,
) -> CheckReport:
    """Unpack UCF-101's archives into ``out/videos/`` and ``out/ucfTrainTestlist/``.

    ``archives``: the folder that holds ``UCF101.rar`` and ``UCF101TrainTestSplits-RecognitionTask.zip``, or the two
    files;
    ``say``: called with what happens. What is unpacked already stays as it is, and its archive is not needed any more.
    Returns: the fast check (names only) of the result.
    Raises: ``ValueError`` where an archive is missing or damaged, or no program is there to unpack the .rar.
    """
    out = Path(out)
    places = _places(archives)
    out.mkdir(parents=True, exist_ok=True)
    for name, target, unpack in (
        (LISTS, out / "ucfTrainTestlist", _unpack_lists),
        (VIDEOS, out / "videos", _unpack_videos),
    ):
        if target.exists():
            say(f"{target} is there already")
            continue
        archive = _find(name, places)
        say(f"unpacking {archive} into {target}")
        with _temporary(out) as folder:
            os.replace(unpack(archive, folder), target)
    return check_ucf101(out, fast=True)


def _unpack_lists(archive: Path, folder: Path) -> Path:
    """Unpack the zip of the splits; the folder with the lists."""
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{archive} cannot be unpacked ({error}): download it again from {SOURCE}.") from None
    for found in folder.rglob(_LIST_FILES[0]):
        missing = [name for name in _LIST_FILES if not (found.parent / name).is_file()]
        if not missing:
            return found.parent
        raise ValueError(f"{archive} lacks {', '.join(missing)}: it is not the archive of the official splits.")
    raise ValueError(f"{archive} lacks {_LIST_FILES[0]}: it is not the archive of the official splits.")


def _unpack_videos(archive: Path, folder: Path) -> Path:
    """Unpack the .rar of the clips; the folder with one folder per class."""
    found = [name for name in UNPACKERS if shutil.which(name)]
    if not found:
        raise ValueError(
            f"{archive} needs one of {', '.join(UNPACKERS)} to be unpacked, and none is installed. Install one, e.g. "
            "`apt install libarchive-tools` (bsdtar), `apt install unar`, or `brew install unar`."
        )
    failures = []
    for name in found:
        command = [part.format(archive=archive, folder=folder) for part in UNPACKERS[name]]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if result.returncode == 0:
            for clip in folder.rglob("v_*_g*_c*.*"):
                return clip.parent.parent
            raise ValueError(f"{archive} holds no clips (v_Class_gXX_cYY.avi): it is not the archive of UCF-101.")
        said = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[-1]
        failures.append(f"{name}: {said}")
    raise ValueError(
        f"{archive} cannot be unpacked ({'; '.join(failures)}): download it again from {SOURCE}, or install another "
        f"one of {', '.join(UNPACKERS)}."
    )


def _places(archives: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The archives and folders that were named; each must exist."""
    given = [archives] if isinstance(archives, (str, os.PathLike)) else list(archives)
    places = [Path(place) for place in given]
    for place in places:
        if not place.exists():
            raise ValueError(f"{place} does not exist: name the folder with {VIDEOS} and {LISTS}, or both files.")
    return places


def _find(name: str, places: list[Path]) -> Path:
    suffix = Path(name).suffix
    for place in places:
        if place.is_dir() and (place / name).is_file():
            return place / name
        if place.is_file() and place.suffix.lower() == suffix:
            return place
    where = ", ".join(map(str, places)) or "no place"
    raise ValueError(f"{name} is not in {where}: download it from {SOURCE}/{name}.")


@contextmanager
def _temporary(out: Path) -> Iterator[Path]:
    """A folder on the same disk as ``out``, so that its content can be renamed into place; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
