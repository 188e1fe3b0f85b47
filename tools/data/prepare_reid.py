"""Unpack re-ID data sets as they are distributed into the layout that specvid reads.

Repeatable; a broken run leaves nothing half done.
"""

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from specvid.errors import unknown
from specvid.tools.data.check import CheckReport
from specvid.tools.data.check_reid import check_reid

Archives = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@dataclass(frozen=True)
class Piece:
    """A folder or file that an archive must bring.

    ``target``: where it goes, below the root; ``inside``: its name in the archive; ``mark``: something below it by
    which it is known; ``archives``: usual names of the archive; ``source``: where it comes from.
    """

    target: str
    inside: str
    mark: str
    archives: tuple[str, ...]
    source: str


_MARS = "http://zheng-lab.cecs.anu.edu.au/Project/project_mars.html"
_MARS_INFO = "https://github.com/liangzheng06/MARS-evaluation"
_ILIDS = "https://xiatian-zhu.github.io/downloads_qmul_iLIDS-VID_ReID_dataset.html"
_PRID = "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/PRID11"

PIECES: dict[str, tuple[Piece, ...]] = {
    "mars": (
        Piece("bbox_train", "bbox_train", "*/*.jpg", ("bbox_train.zip",), _MARS),
        Piece("bbox_test", "bbox_test", "*/*.jpg", ("bbox_test.zip",), _MARS),
        Piece("info", "info", "tracks_test_info.mat", ("MARS-evaluation*.zip", "info.zip"), _MARS_INFO),
    ),
    "ilids-vid": (
        Piece("i-LIDS-VID", "i-LIDS-VID", "sequences/cam1", ("iLIDS-VID.tar", "iLIDS-VID.*"), _ILIDS),
        Piece(
            "train-test people splits", "train-test people splits", "train_test_splits_ilidsvid.mat",
            ("iLIDS-VID.tar", "iLIDS-VID.*"), _ILIDS,
        ),
    ),
    "prid2011": (Piece("prid_2011/multi_shot", "multi_shot", "cam_a", ("prid_2011.*", "prid2011.*"), _PRID),),
}  # fmt: skip


def prepare_reid(
    dataset: str,
    archives: Archives,
    out: str | os.PathLike[str],
    *,
    splits: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = print,
) -> CheckReport:
    """Unpack a data set's archives below ``out``, in its official layout.

    ``dataset``: ``mars``, ``ilids-vid`` or ``prid2011``; ``archives``: the folder that holds them (or the unpacked
    folder ``info`` of MARS's evaluation code), or the files; ``splits``: JSON file of PRID-2011's ten splits, which
    come in no archive (for iLIDS-VID: in the place of the MATLAB file); ``say``: called with what happens. What stands
    already stays as it is, and its archive is not needed any more.

    Returns: the fast check (names only) of the result.
    Raises: ``ValueError`` where an archive is missing, damaged, or another one.
    """
    if dataset not in PIECES:
        raise unknown("dataset", dataset, PIECES)
    out = Path(out)
    given = [archives] if isinstance(archives, str | os.PathLike) else list(archives)
    places = [Path(place) for place in given]
    for place in places:
        if not place.exists():
            raise ValueError(f"{place} does not exist: name the folder that holds the archives, or the archives")
    out.mkdir(parents=True, exist_ok=True)
    for piece in PIECES[dataset]:
        target = out / piece.target
        if target.exists():
            say(f"{target} is there already")
        elif not (splits is not None and "splits" in piece.target):
            _bring(piece, places, target, out, say)
    if splits is not None:
        _copy_splits(dataset, Path(splits), out, say)
    return check_reid(dataset, out, fast=True)


def prepare_mars(archives: Archives, out: str | os.PathLike[str], *, say: Callable[[str], None] = print) -> CheckReport:
    """`prepare_reid` of MARS, whose one split is in its info/."""
    return prepare_reid("mars", archives, out, say=say)


prepare_ilids_vid = partial(prepare_reid, "ilids-vid")
prepare_prid2011 = partial(prepare_reid, "prid2011")


def _bring(piece: Piece, places: list[Path], target: Path, out: Path, say: Callable[[str], None]) -> None:
    """Put a piece in its place, from an archive or from a folder that was unpacked by hand."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=out) as work:
        for place in places:
            unpacked = place / piece.inside
            if unpacked.is_dir() and any(unpacked.glob(piece.mark)):
                say(f"copying {unpacked} to {target}")
                shutil.copytree(unpacked, Path(work) / "piece")
                return _move(Path(work) / "piece", target)
        archive = _find(piece, places)
        say(f"unpacking {archive} into {target}")
        unpack(archive, Path(work))
        folders = [path for path in Path(work).rglob(piece.inside) if path.is_dir() and any(path.glob(piece.mark))]
        if not folders:
            raise ValueError(
                f"{archive} holds no {piece.inside}/{piece.mark}: it is another archive than that of {piece.source}"
            )
        return _move(min(folders, key=lambda path: len(path.parts)), target)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or (packed) tar file. ``ValueError`` for another kind of file or a damaged one."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as content:
                content.extractall(folder, filter="data")
        else:
            raise ValueError(f"{archive} is neither a zip nor a tar file, or it is damaged; download it again")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, OSError) as error:
        raise ValueError(f"{archive} cannot be unpacked ({error}); download it again") from None


def _find(piece: Piece, places: list[Path]) -> Path:
    """The archive of a piece among what was given."""
    for place in places:
        for name in piece.archives:
            if place.is_file() and place.match(name):
                return place
            found = sorted(place.glob(name)) if place.is_dir() else []
            if found:
                return found[0]
    where = ", ".join(map(str, places)) or "no place"
    raise ValueError(f"{piece.archives[0]} is not in {where}: it brings {piece.inside}, and comes from {piece.source}")


def _copy_splits(dataset: str, splits: Path, out: Path, say: Callable[[str], None]) -> None:
    """A JSON file of splits, checked to be one."""
    from specvid.datasets.layouts.two_cameras import read_json_splits

    if dataset == "mars":
        raise ValueError("MARS has no splits to give: its one split is in info/")
    if not splits.is_file():
        raise ValueError(f"{splits} does not exist: it must be the JSON file of the splits")
    read_json_splits(splits)
    target = out / f"splits_{dataset.replace('-', '')}.json"
    shutil.copyfile(splits, target)
    say(f"splits: {target}")
