"""Unpacking archives: zip, tar, rar, and tar files that are distributed in numbered parts."""

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Programs that unpack .rar, and how: {archive} into {folder}.
UNPACKERS = {
    "bsdtar": ["bsdtar", "-x", "-f", "{archive}", "-C", "{folder}"],
    "unar": ["unar", "-quiet", "-no-directory", "-output-directory", "{folder}", "{archive}"],
    "unrar": ["unrar", "x", "-idq", "-y", "{archive}", "{folder}/"],
}


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip, rar or (packed) tar file; nothing is written outside the folder.

    Args:
        archive: the file.
        folder: where to.

    Raises:
        ValueError: another kind of file, a damaged one, or no program for a .rar.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
        elif archive.suffix.lower() == ".rar":
            _unpack_rar(archive, folder)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        else:
            raise ValueError(f"{archive} is no zip, rar or tar file, or it is damaged: download it again.")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, OSError, zlib.error) as error:
        raise ValueError(f"{archive} cannot be unpacked ({error}): download it again.") from None


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
        with tarfile.open(fileobj=joined, mode="r|*") as tar:
            tar.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{parts[0]} to {parts[-1].name} ({len(parts)} parts) cannot be unpacked ({error}): are all parts there, "
            "and are they whole?"
        ) from None


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


def _unpack_rar(archive: Path, folder: Path) -> None:
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
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if result.returncode == 0:
            return
        said = (result.stderr.strip() or result.stdout.strip() or "no message").splitlines()[-1]
        failures.append(f"{name}: {said}")
    raise ValueError(
        f"{archive} cannot be unpacked ({'; '.join(failures)}): download it again, or install another one of "
        f"{', '.join(UNPACKERS)}."
    )
