"""Unpacking archives: zip, tar, rar, and tar files that are distributed in numbered parts."""

import errno
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from specvid.memory import taking_at_most
from specvid.text import path_on_one_line, without_controls

# Programs that unpack .rar, and how: {archive} into {folder}.
UNPACKERS = {
    "bsdtar": ["bsdtar", "-x", "-f", "{archive}", "-C", "{folder}"],
    "unar": ["unar", "-quiet", "-no-directory", "-output-directory", "{folder}", "{archive}"],
    "unrar": ["unrar", "x", "-idq", "-y", "{archive}", "{folder}/"],
}
_MOST_TIMES = 20  # as large as the archive
_ALWAYS = 256 * 2**20  # bytes; lists are text, which shrinks more
_SPARE = 64 * 2**20  # bytes that stay free
_MEMORY = 2**29  # bytes; a header of a tar file, a name for example, has any length, and Python reads it whole
_LEVELS = 100  # folders in each other
_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_UNSOUND = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, RuntimeError, MemoryError, OSError),
)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip, rar or (packed) tar file; nothing is written outside the folder.

    Args:
        archive: the file.
        folder: where to.

    Raises:
        ValueError: another kind of file, a damaged one, one that unpacks to far more than it is or than the disk has
            room for, or no program for a .rar.
    """
    most = _Most([archive], folder)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                for member in content.infolist():  # Python unpacks no more of it than announced
                    most.add(member.file_size)
                    _check_member(archive, member)
                content.extractall(folder)
        elif archive.suffix.lower() == ".rar":
            _unpack_rar(archive, folder, most)
        elif not _unpack_tar(archive, folder, most):
            raise ValueError(f"{archive} is no zip, rar or tar file, or it is damaged: download it again.")
    except _UNSOUND as error:
        _check_disk(error, folder)
        raise ValueError(f"{archive} cannot be unpacked ({_reason(error)}): {_remedy(error)}.") from None


def unpack_parts(parts: Sequence[Path], folder: Path) -> None:
    """Unpack a tar file that comes in parts, in one pass, without joining them on the disk first.

    Args:
        parts: in their order; each a part, or a zip file with the part in it.
        folder: where to.

    Raises:
        ValueError: the parts do not make a tar file: one is missing or damaged.
    """
    joined = io.BufferedReader(_Joined(parts), 2**20)
    try:
        with taking_at_most(_MEMORY), tarfile.open(fileobj=joined, mode="r|*") as tar:
            _extract(tar, folder, _Most(parts, folder))
    except _UNSOUND as error:
        _check_disk(error, folder)
        raise ValueError(
            f"{parts[0]} to {parts[-1].name} ({len(parts)} parts) cannot be unpacked ({_reason(error)}): are all "
            "parts there, and are they complete?"
        ) from None


class _Most:
    """How many bytes archives may unpack to: pictures and films hardly shrink when they are packed."""

    def __init__(self, archives: Sequence[Path], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.archive = folder, archives[0]
        self.packed = sum(archive.stat().st_size for archive in archives)
        self.most, self.free = _MOST_TIMES * self.packed + _ALWAYS, shutil.disk_usage(folder).free - _SPARE
        self.unpacked = 0

    def add(self, size: int) -> None:
        """Count what comes next. ValueError where that is too much."""
        self.unpacked += max(0, size)
        if self.unpacked > self.most:
            raise ValueError(
                f"{self.archive} of {self.packed / 2**20:,.1f} MiB unpacks to more than {self.most / 2**20:,.0f} MiB, "
                "which no data set of pictures or films does: it is damaged, or made to fill the disk."
            )
        if self.unpacked > self.free:
            raise ValueError(
                f"{self.archive} unpacks to {self.unpacked / 2**30:,.2f} GiB or more, and {self.folder} has room for "
                f"{max(0, self.free) / 2**30:,.2f} GiB: make room, or give another --out."
            )


def _unpack_tar(archive: Path, folder: Path, most: _Most) -> bool:
    """Whether it is a tar file."""
    with taking_at_most(_MEMORY):
        if not tarfile.is_tarfile(archive):
            return False
        with tarfile.open(archive) as tar:
            _extract(tar, folder, most)
    return True


def _reason(error: BaseException) -> str:
    return str(error) or f"{type(error).__name__}: its headers are longer than those of any data set"


def _remedy(error: BaseException) -> str:
    """What to do: an archive whose names do not fit a disk comes no other way a second time."""
    if isinstance(error, OSError) and error.errno in _NAMES:
        return "names in it are too long for the disk, or in each other's way; unpack it yourself, and give the folder"
    return "download it again"


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    """ValueError for what zip files may have and Python cannot unpack."""
    name = without_controls(member.filename)[:60]
    if member.flag_bits & 1:
        raise ValueError(
            f"{archive} cannot be unpacked: {name!r} in it is encrypted, and specvid asks for no passwords. Unpack it "
            "yourself, and give the folder."
        )
    levels = member.filename.count("/")
    if levels > _LEVELS:
        raise ValueError(
            f"{archive} is refused: {name!r} in it lies in {levels:,} folders in each other, more than the {_LEVELS} "
            "that any data set has."
        )


def _extract(tar: tarfile.TarFile, folder: Path, most: _Most) -> None:
    """Extract a tar file member by member, each counted before it is written."""
    for member in tar:
        most.add(member.size)
        tar.extract(member, folder, filter="data")


def _check_disk(error: BaseException, folder: Path) -> None:
    """ValueError where the disk is what failed."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        raise ValueError(f"{folder} cannot be written ({error.strerror}): make room, or give another --out.") from None


def _check_links(archive: Path, folder: Path) -> None:
    """ValueError where a program unpacked a link that leads out of the folder; tar and zip never get that far."""
    inside = os.path.realpath(folder)
    for path in folder.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
            raise ValueError(f"{archive} holds a link out of its folder, {path_on_one_line(path)}: it is refused.")


class _Joined(io.RawIOBase):
    """Files read one after the other as if they were one."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self.left = list(parts)
        self.current: IO[bytes] = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not (data := self.current.read(len(buffer))):
            if not self.left:
                return 0
            self.current.close()
            self.current = _open_part(self.left.pop(0))
        buffer[: len(data)] = data
        return len(data)


def _open_part(path: Path) -> IO[bytes]:
    """A part, also one that lies in a zip file of its own."""
    if path.suffix.lower() != ".zip":
        return path.open("rb")
    content = zipfile.ZipFile(path)
    return content.open(max(content.infolist(), key=lambda info: info.file_size))


def _unpack_rar(archive: Path, folder: Path, most: _Most) -> None:
    """With the first of the programs that can."""
    found = [name for name in UNPACKERS if shutil.which(name)]
    if not found:
        raise ValueError(
            f"{archive} needs one of {', '.join(UNPACKERS)} to be unpacked, and none is installed. Install one, e.g. "
            "`apt install libarchive-tools` (bsdtar), `apt install unar`, or `brew install unar`."
        )
    failures = []
    for name in found:
        command = [part.format(archive=os.path.abspath(archive), folder=folder) for part in UNPACKERS[name]]
        free = shutil.disk_usage(folder).free
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, errors="replace", **pipes) as process:
            while True:
                try:
                    output, complaint = process.communicate(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    try:  # how much it writes is seen by what is left
                        taken, most.unpacked = free - shutil.disk_usage(folder).free, 0
                        most.add(taken)
                    except ValueError:
                        process.kill()
                        raise
        if process.returncode == 0:
            return _check_links(archive, folder)
        message = (complaint.strip() or output.strip() or "no message").splitlines()[-1]
        failures.append(f"{name}: {message}")
    raise ValueError(
        f"{archive} cannot be unpacked ({'; '.join(failures)}): download it again, or install another one of "
        f"{', '.join(UNPACKERS)}."
    )
