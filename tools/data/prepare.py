"""Unpack data sets as they are distributed into the layout that specvid reads.

Repeatable; a broken run leaves nothing half done.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from specvid.datasets.layouts.reid_set import natural_key
from specvid.datasets.layouts.two_cameras import read_json_splits
from specvid.errors import unknown
from specvid.files import only_writer, replacing_file
from specvid.tools.data.archives import unpack, unpack_parts
from specvid.tools.data.check import CheckReport, check
from specvid.tools.data.sources import COMPONENTS, Component

Echo = Callable[[str], None]
_UNPACKING = ".unpacking"


def prepare(
    dataset: str,
    archives: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    splits: str | os.PathLike[str] | None = None,
    echo: Echo = print,
) -> CheckReport:
    """Unpack a data set's archives below a folder, in its official layout.

    What is there already stays as it is, and its archive is not needed any more.

    Args:
        dataset: its layout.
        archives: the folder that holds them, or the files; folders that were unpacked by hand will do too.
        out: the folder.
        splits: JSON file of PRID-2011's ten splits, which come in no archive; for iLIDS-VID in place of the MATLAB
            file.
        echo: called with what happens.

    Returns:
        The fast check (names only) of the result.

    Raises:
        ValueError: an archive is missing, damaged, or another one, no program is there to unpack it, or another process
            is writing the folder.
    """
    if dataset not in COMPONENTS:
        raise unknown("data set", dataset, COMPONENTS)
    if splits is not None and dataset not in ("ilids-vid", "prid2011"):
        raise ValueError(f"splits {os.fspath(splits)!r} is given, but {dataset} brings its own: leave it out.")
    out = Path(out)
    given = [archives] if isinstance(archives, str | os.PathLike) else list(archives)
    places = [Path(place) for place in given]
    for place in places:
        if not place.exists():
            names = ", ".join(dict.fromkeys(component.archives[0] for component in COMPONENTS[dataset]))
            raise ValueError(f"{place} does not exist: name the folder that holds the archives ({names}), or the files")
    with _removed_if_left_empty(out), only_writer(out, may_lead_out=True):
        for component in COMPONENTS[dataset]:
            target = out / component.target
            if target.exists():
                echo(f"{target} is there already")
            elif not (splits is not None and "splits" in component.target):
                with _staging(out) as staging:
                    _bring(component, places, staging, target, echo)
        _clear(out)
        if splits is not None:
            _copy_splits(dataset, Path(splits), out, echo)
    return check(dataset, out, fast=True)


@contextmanager
def _removed_if_left_empty(out: Path) -> Iterator[None]:
    """Where an error leaves nothing in a folder that was not there before, it is not there after it either."""
    was_there = out.exists()
    try:
        yield
    except BaseException:
        if not was_there:
            with suppress(OSError):  # it has something in it
                out.rmdir()
        raise


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder to unpack into, without what a killed run left in it."""
    _clear(out)
    staging = out / _UNPACKING
    staging.mkdir()
    try:
        yield staging
    finally:
        _clear(out)


def _clear(out: Path) -> None:
    shutil.rmtree(out / _UNPACKING, ignore_errors=True)


def _bring(component: Component, places: Sequence[Path], staging: Path, target: Path, echo: Echo) -> None:
    """Put a component in its place: from a folder that was unpacked by hand, or from its archive."""
    for place in places:
        folder = place / component.inside
        if folder.is_dir() and (component.inside or component.is_lists) and _holds(folder, component.holds):
            echo(f"copying {folder} to {target}")
            return _move(_copy(folder, component, staging / "copy"), target)
    found = _find(component, places)
    echo(f"unpacking {found[0]} into {target}")
    if component.is_parts:
        unpack_parts(found, staging)
    else:
        unpack(found[0], staging)
    if component.is_nested:
        for archive in sorted(staging.rglob("*.rar")):
            unpack(archive, archive.parent)
            archive.unlink()
    folders = [staging, *(path for path in staging.rglob(component.inside or "*") if path.is_dir())]
    fitting = [path for path in folders if _holds(path, component.holds)]
    if not fitting:
        lacks = ", ".join(_lacking(staging, component.holds))
        raise ValueError(
            f"{found[0]} lacks {'/'.join(filter(None, (component.inside, lacks)))}: it is another archive than that of "
            f"{component.source}"
        )
    best = min(fitting, key=lambda path: len(path.parts))
    _move(_copy(best, component, staging / "copy") if component.is_lists else best, target)


def _copy(folder: Path, component: Component, to: Path) -> Path:
    """A copy of a folder, or of the lists in it."""
    if not component.is_lists:
        shutil.copytree(folder, to)
        return to
    to.mkdir()
    for pattern in component.holds:
        for path in folder.glob(pattern):
            shutil.copyfile(path, to / path.name)
    return to


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether a folder holds all of some files."""
    return all(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _lacking(folder: Path, patterns: Sequence[str]) -> list[str]:
    """The files that are nowhere below a folder; the first one where they are all there, but not together."""
    return [pattern for pattern in patterns if next(folder.rglob(pattern), None) is None] or [patterns[0]]


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)


def _find(component: Component, places: Sequence[Path]) -> list[Path]:
    """The archive of a component among what was given, or all its parts."""
    for pattern in component.archives:
        found: list[Path] = []
        for place in places:
            if place.is_dir():
                found += place.glob(pattern)
            elif place.match(pattern):
                found.append(place)
        if found:
            return sorted(found, key=lambda path: natural_key(path.name))
    suffixes = {Path(pattern).suffix.lower() for pattern in component.archives} - {".*", ""}
    renamed = [place for place in places if place.is_file() and place.suffix.lower() in suffixes]
    if len(renamed) == 1:
        return renamed
    where = ", ".join(map(str, places)) or "no place"
    raise ValueError(
        f"{component.archives[0]} is not in {where}: it brings {component.target}; download it from {component.source}"
    )


def _copy_splits(dataset: str, splits: Path, out: Path, echo: Echo) -> None:
    """A JSON file of splits, checked to be one."""
    if not splits.is_file():
        raise ValueError(f"{splits} does not exist: it must be the JSON file of the splits")
    read_json_splits(splits)
    target = out / f"splits_{dataset.replace('-', '')}.json"
    with replacing_file(target) as staging:
        shutil.copyfile(splits, staging)
    echo(f"splits: {target}")
