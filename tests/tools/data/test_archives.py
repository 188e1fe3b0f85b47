"""Archives that try to write elsewhere, or to make what is no file: nothing leaves the folder."""

import bz2
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak
from specvid.tools.data import archives
from specvid.tools.data.archives import unpack, unpack_parts

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
TARS = {
    "absolute": [("/{evil}", FILE, "")],
    "up": [("../EVIL", FILE, "")],
    "up from below": [("a/../../EVIL", FILE, "")],
    "through an absolute link": [("l", LINK, "/{out}"), ("l/EVIL", FILE, "")],
    "through a link up": [("l", LINK, ".."), ("l/EVIL", FILE, "")],
    "links in a circle": [("a", LINK, "b"), ("b", LINK, "a"), ("a/x", FILE, "")],
    "a link to itself": [("a", LINK, "a"), ("b.avi", FILE, "")],
    "a folder in itself": [("d", tarfile.DIRTYPE, ""), ("d/up", LINK, "."), ("d/f.avi", FILE, "")],
    "a device": [("dev", tarfile.CHRTYPE, "")],
    "a disk": [("dev", tarfile.BLKTYPE, "")],
    "a pipe": [("fifo", tarfile.FIFOTYPE, "")],
    "a hard link to a file of the system": [("h", HARD, "/etc/passwd")],
    "a hard link up": [("h", HARD, "../../etc/passwd")],
    "a name with NUL": [("a\0b", FILE, "")],
    "a name with a line break": [("a\nb", FILE, "")],
    "a long name": [("x" * 300, FILE, "")],
    "deep folders": [("/".join(["d" * 100] * 60), FILE, "")],
    "a file in the place of a folder": [("a", tarfile.DIRTYPE, ""), ("a", FILE, "")],
    "a folder in the place of a file": [("a", FILE, ""), ("a/b", FILE, "")],
}
READ = ("a link to itself", "a folder in itself", "a name with NUL", "a name with a line break", "absolute")


def nothing_outside(base: Path, out: Path) -> None:
    assert {path.name for path in base.iterdir()} <= {"x.tar", "x.zip", "out"} and not os.path.lexists("/etc/EVIL")
    for path in out.rglob("*"):
        kind = path.lstat().st_mode
        assert stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)
        assert Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out))


@pytest.mark.parametrize("name", TARS)
@pytest.mark.parametrize("in_parts", [False, True])
def test_tar(tmp_path: Path, name: str, in_parts: bool) -> None:
    out = tmp_path / "out"
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for member, kind, link in TARS[name]:
            info = tarfile.TarInfo(member.format(evil=tmp_path / "EVIL"))
            info.type, info.linkname = kind, link.format(out=tmp_path)
            tar.addfile(info)
    refused = ""
    try:
        unpack_parts([tmp_path / "x.tar"], out) if in_parts else unpack(tmp_path / "x.tar", out)
    except ValueError as error:
        refused = str(error)
    assert bool(refused) != (name in READ) and refused.startswith(str(tmp_path / "x.tar") if refused else "")
    nothing_outside(tmp_path, out)


@pytest.mark.parametrize(
    "names", [["../EVIL"], ["/EVIL"], ["..\\EVIL"], ["x" * 300], ["a\0b"], ["a", "a/b"], ["l"]], ids=str
)
def test_zip(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as content:
        for name in names:
            info = zipfile.ZipInfo(name)
            if name == "l":  # a link, which is unpacked as the text that it is
                info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            content.writestr(info, str(tmp_path))
    try:
        unpack(tmp_path / "x.zip", tmp_path / "out")
    except ValueError as error:
        refused = str(error)
        assert refused.startswith(f"{tmp_path / 'x.zip'} cannot be unpacked") and "\n" not in refused.replace(
            names[0], ""
        )
    nothing_outside(tmp_path, tmp_path / "out")


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as content:
        content.writestr("a", "x")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[6] |= 1
    data[data.find(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.zip cannot be unpacked: '.*' in it is encrypted"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_a_program_for_rar_that_lets_links_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / "bsdtar"
    program.write_text('#!/bin/sh\n/bin/ln -s /etc "$5/l"\n')
    program.chmod(0o755)
    (tmp_path / "x.rar").write_bytes(b"Rar!")
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(archives, "UNPACKERS", {"bsdtar": archives.UNPACKERS["bsdtar"]})
    with pytest.raises(ValueError, match=r"x\.rar holds a link out of its folder, .*/l: it is refused"):
        unpack(tmp_path / "x.rar", tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_name_of_gigabytes_is_not_read(kind: bytes, in_parts: bool, tmp_path: Path) -> None:
    """It is zeros: 2 GiB of them are 10 kB in a bz2, and were twice that in memory before anything could be counted."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 2 << 30
    piece = bz2.compress(bytes(2**26))
    path = tmp_path / "bomb.tar.bz2"
    path.write_bytes(bz2.compress(header.tobuf(tarfile.USTAR_FORMAT)) + 32 * piece)  # streams one after the other
    before = restart_peak()
    with pytest.raises(ValueError, match=r"bomb.tar.bz2.* cannot be unpacked \(.*\)"):
        unpack_parts([path], tmp_path / "out") if in_parts else unpack(path, tmp_path / "out")
    assert peak_mebibytes() < before + 600
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["d/" * 5000 + "x.avi"], "lies in 5,000 folders in each other, more than the 100"),
        (["x" * 300], "names in it are too long for the disk, or in each other's way; unpack it yourself"),
        (["a", "a/b"], "in each other's way; unpack it yourself"),
    ],
)
def test_names_that_no_disk_takes(tmp_path: Path, names: list[str], match: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as content:
        for name in names:
            content.writestr(name, b"x")
    with pytest.raises(ValueError, match=match) as refused:
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert "download" not in str(refused.value)
