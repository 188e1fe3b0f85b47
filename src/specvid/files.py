"""Atomic writes: whatever reads a file or folder sees the old content or the new one, wherever the writer is killed.

| to write                       | use                                           |
|--------------------------------|-----------------------------------------------|
| a file                         | `replacing_file`, `write_text`, `write_json`  |
| one that the user names        | `output_file`, `output_folder` before work    |
| a folder that belongs together | `replacing_folder`; `recover` after a kill    |
| to read such a folder          | `current`                                     |
| to read such JSON              | `specvid.reading.read_json`                   |
| a folder, for as long as a job | `only_writer`; `check_links` before less      |
| to append to a file            | `naming` around it                            |

New content is written beside the old one, under a hidden name with ``.writing`` in it, is forced onto the disk and then
takes its place in one rename. Two processes that write the same at the same time are kept apart by locks of the system
(flock), which end with the process that holds them and leave nothing behind; where there are none (Windows, some
network disks), nobody is kept apart. Where the disk is full or may not be written, the error names the file.
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from specvid.errors import disk_error
from specvid.reading import require_plain_files

_PATIENCE = 60.0  # s that a process waits for another one that writes the same file
_ABOUT_TO_END = 10.0  # s that it waits for one that holds a folder: killed ones take a moment to go


@contextmanager
def replacing_file(path: str | Path, *, folder: Path | None = None, durable: bool = True) -> Iterator[Path]:
    """A file to write in place of ``path``, which it becomes where the block ends without an error.

    Args:
        path: the file to replace or to create; its folder is created where it is missing.
        folder: where the unfinished file lies, on the same disk; for files that several processes may write at the same
            time, since its name then holds host and process. Beside ``path`` if not given.
        durable: force the content onto the disk before the rename, so that a crash of the machine loses nothing.

    Yields:
        The path of the unfinished file, with the suffix of ``path``. An error removes it.

    Raises:
        ValueError: ``path`` is a folder, or a device, pipe or socket, which a file must not replace.
        OSError: the disk is full, or may not be written; or another process has been writing the same file for a
            minute.
    """
    path = Path(path)
    _require_plain(path, str(path))
    if folder is None:
        staging = path.with_name(f".{path.stem}.writing{path.suffix}")
    else:
        staging = folder / f"{path.stem}.{socket.gethostname()}.{os.getpid()}{path.suffix}"
    with naming(path):
        for parent in {path.parent, staging.parent}:
            parent.mkdir(parents=True, exist_ok=True)
    with naming(path, staging), _alone(staging, path):
        try:
            yield staging
            if durable:
                _flush(staging)
            os.replace(staging, path)
        except (Exception, KeyboardInterrupt):
            staging.unlink(missing_ok=True)
            raise


def output_file(option: str, path: str) -> Path:
    """Where to write a file that the user names; checked before the work whose result it gets.

    Args:
        option: of the command line, for the message.
        path: as given. A link is followed, and what it leads to is written.

    Returns:
        The file.

    Raises:
        ValueError: it is a folder, or a device, pipe or socket; or it cannot be written there.
    """
    target = Path(os.path.realpath(path) if os.path.islink(path) else path)
    named = f"{option} {path!r}"
    if not path or path.endswith(("/", os.sep)):
        raise ValueError(f"{named} is no name of a file: give one.")
    _require_plain(target, named)
    _require_writable(target.parent, named)
    return target


def output_folder(option: str, path: str) -> Path:
    """Where to write files into a folder that the user names; checked before the work whose results it gets.

    Args:
        option: of the command line, for the message.
        path: as given; it need not be there yet.

    Returns:
        The folder.

    Raises:
        ValueError: it is a file, or cannot be written.
    """
    folder = Path(path)
    named = f"{option} {path!r}"
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise ValueError(f"{named} is no folder, and files are to be written into it: name a folder.")
    _require_writable(folder, named)
    return folder


def _require_plain(path: Path, named: str) -> None:
    """Refuse to replace what is no plain file."""
    if os.path.isdir(path):
        raise ValueError(f"{named} is a folder: give the name of a file in it.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{named} is a device, pipe or socket, which a file cannot replace: name a plain file.")


def _require_writable(folder: Path, named: str) -> None:
    """Refuse a folder that cannot be written, or made."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not os.path.isdir(there):
        raise ValueError(f"{named} cannot be written: {str(there)!r} is no folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{named} cannot be written: this user may not write into {str(there)!r}.")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to ``path`` in one rename.

    Args:
        path: the file to replace or to create.
        text: its content. Bytes of file names that are not UTF-8 are escaped, in JSON as JSON does it.
    """
    with replacing_file(path) as staging:
        staging.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON to ``path`` in one rename.

    Args:
        path: the file to replace or to create.
        content: what JSON knows.

    Raises:
        ValueError: a number is not finite; JSON has no word for it.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def naming(target: str | Path, *places: Path, fix: str = "start again") -> Iterator[None]:
    """Say of a failure of the disk in the block which file could not be written, and why.

    Args:
        target: what is written.
        places: where it is written; errors about files elsewhere are others'. Everywhere if not given.
        fix: what to do once the disk is mended.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    try:
        yield
    except Exception as error:
        about = getattr(error, "filename", None)
        if about is None or not places or any(str(about).startswith(str(place)) for place in places):
            named = disk_error(error, target, fix=fix)
            if named is not None:
                raise named from error
        raise


@contextmanager
def replacing_folder(folder: str | Path, *, durable: bool = True, fix: str = "start again") -> Iterator[Path]:
    """A folder to fill in place of ``folder``, which it becomes where the block ends without an error.

    The filled folder is first renamed to ``.NAME.ready``: from here on it counts. Then it takes the place of the old
    one. A kill at any point leaves either the old folder, or a ready one: `recover` puts it in place, `current` finds
    it for readers.

    Args:
        folder: the folder to replace or to create. One process writes it at a time; others wait ten seconds.
        durable: force all files onto the disk before the rename, so that a crash of the machine loses nothing.
        fix: what the error says to do where the disk is full.

    Yields:
        The empty folder to fill. An error removes it.

    Raises:
        OSError: the disk is full, or may not be written.
        ValueError: another process is writing it.
    """
    folder = Path(folder)
    with _holding(folder, fix) as place, naming(folder, place, fix=fix):
        staging = place / folder.name
        staging.mkdir()
        yield staging
        if durable:
            for path in [*staging.rglob("*"), staging]:
                if path.is_file() or path.is_dir():  # a pipe would be waited for
                    _flush(path)
        os.replace(staging, _beside(folder, "ready"))
        _put_in_order(folder)


@contextmanager
def _holding(folder: Path, fix: str) -> Iterator[Path]:
    """Hold the place where the replacement of a folder is written, in order and empty, until that is in the old one's.

    The place is removed by whoever holds it; so who waited for it looks whether it is still there.
    """
    place, until = _beside(folder, "writing"), time.monotonic() + _ABOUT_TO_END
    while True:
        with naming(folder, fix=fix):
            if place.is_symlink():  # none of ours: what it leads to is not written
                place.unlink(missing_ok=True)
            try:
                place.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW) if fcntl else -1
            except (FileExistsError, FileNotFoundError):
                if (os.path.lexists(place) and not place.is_dir()) or time.monotonic() > until:
                    raise
                time.sleep(0.01)  # another process has removed it since, and may have made it again
                continue
        try:
            if fcntl and not _lock(descriptor, _ABOUT_TO_END):
                raise ValueError(f"{folder} is being written by another process: let it end, or take another one.")
            if fcntl and not _is(descriptor, place):
                continue
            try:
                with naming(folder, fix=fix):
                    _put_in_order(folder)
                yield place
            finally:
                shutil.rmtree(place, ignore_errors=True)
            return
        finally:
            if fcntl:
                os.close(descriptor)


@contextmanager
def only_writer(
    folder: str | Path,
    *,
    seconds: float | None = None,
    name: Path | None = None,
    joins: bool = False,
    may_lead_out: bool = False,
) -> Iterator[Callable[[], None]]:
    """Hold a folder, as the one process or job that writes into it, while the block runs.

    Args:
        folder: created where it is missing.
        seconds: how long to wait for another one; as long as one that is killed may take to end if not given.
        name: what the error calls it; ``folder`` if not given.
        joins: hold it together with the other processes of a job, whose first one has called what was yielded.
        may_lead_out: links in it are the user's own, wherever they lead.

    Yields:
        To be called by the first process of a job: lets others join; from then on nobody holds it alone.

    Raises:
        ValueError: another process holds it, or a link in it leads out of it.
    """
    folder = Path(folder)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not may_lead_out:
        check_links(folder)
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else -1

    def hold(shared: bool) -> None:
        if fcntl and not _lock(descriptor, _ABOUT_TO_END if seconds is None else seconds, shared=shared):
            raise ValueError(f"{name or folder} is being written by another process: let it end, or take another one.")

    try:
        hold(joins)
        yield lambda: hold(True)
    finally:
        if fcntl:
            os.close(descriptor)


def check_links(folder: str | Path) -> None:
    """Refuse to write into a folder of somebody else's making that would have something else written, or wait for ever.

    Args:
        folder: a link itself, perhaps: only those within it are looked at.

    Raises:
        ValueError: a link in it leads out of it; or it holds a device, pipe or socket.
    """
    require_plain_files(folder)
    inside = os.path.join(os.path.realpath(folder), "")
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if os.path.islink(path) and not os.path.realpath(path).startswith(inside):
                raise ValueError(
                    f"{path!r} is a link to {os.path.realpath(path)!r}, out of the folder that is to be written: put "
                    "in its place what it leads to, or remove it."
                )


def recover(folder: str | Path) -> None:
    """Finish a replacement of ``folder`` that was interrupted, and remove what it left behind.

    Args:
        folder: as given to `replacing_folder`.

    Raises:
        ValueError: another process is writing it.
    """
    folder = Path(folder)
    if any(os.path.lexists(_beside(folder, state)) for state in ("writing", "ready", "old")):
        with _holding(folder, "start again"):
            pass


def _put_in_order(folder: Path) -> None:
    """Put a ready folder in its place and remove what is left of others; for the process that holds the place."""
    ready, old, place = (_beside(folder, state) for state in ("ready", "old", "writing"))
    if recovered(folder) == ready:
        if os.path.lexists(folder):
            _remove(old)
            os.replace(folder, old)
        os.replace(ready, folder)
    for leftover in (ready, old, *place.iterdir()):
        _remove(leftover)


def _remove(path: Path) -> None:
    """Remove a folder, a file or a link, whichever it is; of a folder what can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def current(folder: str | Path) -> Path:
    """Where the complete content of ``folder`` lies now; nothing is changed, so any reader may ask.

    Args:
        folder: as given to `replacing_folder`.

    Returns:
        ``folder`` itself, or the ready one beside it where a kill came before the last rename.
    """
    folder = Path(folder)
    ready = _beside(folder, "ready")
    return ready if ready.is_dir() and not folder.exists() else folder


def recovered(folder: str | Path) -> Path:
    """Where the content lies that `recover` would leave in ``folder``; nothing is changed.

    Args:
        folder: as given to `replacing_folder`.

    Returns:
        The ready one beside ``folder`` where a kill came before it had taken its place, ``folder`` itself otherwise. A
        reader beside a writer asks `current`: a ready folder is about to move.
    """
    folder = Path(folder)
    ready = _beside(folder, "ready")
    return ready if ready.is_dir() and not ready.is_symlink() else folder


def _beside(folder: Path, state: str) -> Path:
    """The hidden neighbour of ``folder`` in a state of its replacement."""
    return folder.with_name(f".{folder.name}.{state}")


@contextmanager
def _alone(staging: Path, path: Path) -> Iterator[None]:
    """Hold an unfinished file, so that processes that write the same come one after the other."""
    if fcntl is None:
        yield
        return
    until = time.monotonic() + _PATIENCE
    while True:
        if os.path.islink(staging):  # none of ours: what it leads to is not written
            staging.unlink(missing_ok=True)
        descriptor = os.open(staging, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            if not _lock(descriptor, until - time.monotonic()):
                raise OSError(f"{path} is being written by another process: let it end, or write another file.")
            if not _is(descriptor, staging):
                continue  # the one who held it has given it its name, or removed it
            yield
            return
        finally:
            os.close(descriptor)


def _is(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, seconds: float, *, shared: bool = False) -> bool:
    """Lock an open file or folder; False where another process has it all the time."""
    assert fcntl is not None  # callers ask first
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        except OSError:  # this disk knows no locks
            return True


def _flush(path: Path) -> None:
    """Force a file, or a folder's list of names, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
