"""Archives as they are distributed become the layout that specvid reads: with real .rar files and with stand-ins for
the programs."""

import os
import shutil
import tarfile
import zipfile

import pytest
from stored_rar import write_rar

from specvid.tools.data import archives as archives_module
from specvid.tools.data.archives import UNPACKERS
from specvid.tools.data.prepare import prepare

VIDEOS, LISTS = "UCF101.rar", "UCF101TrainTestSplits-RecognitionTask.zip"

CLIPS = [f"{name}/v_{name}_g0{group}_c01.avi" for name in ("Archery", "Bowling") for group in (1, 2)]


def write_lists(path, without=""):
    files = {"classInd.txt": "1 Archery\r\n2 Bowling\r\n"}
    for split in (1, 2, 3):
        files[f"trainlist0{split}.txt"] = f"{CLIPS[1]} 1\r\n{CLIPS[3]} 2\r\n"
        files[f"testlist0{split}.txt"] = f"{CLIPS[0]}\r\n{CLIPS[2]}\r\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            if name != without:
                archive.writestr(f"ucfTrainTestlist/{name}", text)
    return path


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    write_lists(folder / LISTS)
    write_rar(folder / VIDEOS, {f"UCF-101/{name}": name.encode() for name in CLIPS})
    return folder


def only_programs(monkeypatch, tmp_path, **scripts):
    """A PATH on which there are no programs but these shell scripts."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


# Stand-ins: like the real programs, they find archive and folder among their arguments, and unpack.
MKDIR, TOUCH = shutil.which("mkdir"), shutil.which("touch")
FILL = " ".join(
    [f"{MKDIR} -p $to/UCF-101/Archery $to/UCF-101/Bowling;", *(f"{TOUCH} $to/UCF-101/{name};" for name in CLIPS)]
)
STAND_INS = {
    "bsdtar": f'[ "$1 $2 $4" = "-x -f -C" ] || exit 2; [ -f "$3" ] || exit 3; to="$5"; {FILL}',
    "unar": f'[ "$3" = -output-directory ] || exit 2; [ -f "$5" ] || exit 3; to="$4"; {FILL}',
    "unrar": f'[ "$1" = x ] || exit 2; [ -f "$4" ] || exit 3; to="$5"; {FILL}',
}


@pytest.mark.parametrize("program", sorted(UNPACKERS))
def test_real_archives(archives, tmp_path, monkeypatch, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    monkeypatch.setattr(archives_module, "UNPACKERS", {program: UNPACKERS[program]})
    lines = []
    report = prepare("ucf101", archives, tmp_path / "out", echo=lines.append)
    assert report.ok, report.lines
    assert "4 of 4 clips are there (names only: nothing was opened)" in report.lines
    for name in CLIPS:
        assert (tmp_path / "out/videos" / name).read_bytes() == name.encode()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ucfTrainTestlist", "videos"]
    assert [line.split()[0] for line in lines] == ["unpacking", "unpacking"]


@pytest.mark.parametrize("program", sorted(STAND_INS))
def test_whichever_program_is_there(archives, tmp_path, monkeypatch, program):
    only_programs(monkeypatch, tmp_path, **{program: STAND_INS[program]})
    assert prepare("ucf101", [archives / VIDEOS, archives / LISTS], tmp_path / "out", echo=lambda line: None).ok


def test_the_next_program_where_one_fails(archives, tmp_path, monkeypatch):
    broken = 'echo "this version of RAR is unsupported" >&2; exit 1'
    only_programs(monkeypatch, tmp_path, bsdtar=broken, unrar=STAND_INS["unrar"])
    assert prepare("ucf101", archives, tmp_path / "out", echo=lambda line: None).ok


def test_no_program(archives, tmp_path, monkeypatch):
    only_programs(monkeypatch, tmp_path)
    with pytest.raises(ValueError, match=r"one of bsdtar, unar, unrar.*apt install libarchive-tools"):
        prepare("ucf101", archives, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ucfTrainTestlist"]  # nothing half done


def test_all_programs_fail(archives, tmp_path, monkeypatch):
    failing = f'{MKDIR} -p "$5/UCF-101/Archery"; echo "checksum error" >&2; exit 1'
    only_programs(monkeypatch, tmp_path, bsdtar=failing, unrar=failing)
    with pytest.raises(
        ValueError, match=r"cannot be unpacked .bsdtar: checksum error; unrar: checksum error.: download"
    ):
        prepare("ucf101", archives, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ucfTrainTestlist"]


def test_repeating_changes_nothing_and_needs_no_archive(archives, tmp_path, monkeypatch):
    only_programs(monkeypatch, tmp_path, unar=STAND_INS["unar"])
    out = tmp_path / "out"
    prepare("ucf101", archives, out, echo=lambda line: None)
    (out / "videos" / CLIPS[0]).write_text("mine")
    shutil.rmtree(archives)
    archives.mkdir()
    lines = []
    assert prepare("ucf101", archives, out, echo=lines.append).ok
    assert [line.endswith("is there already") for line in lines] == [True, True]
    assert (out / "videos" / CLIPS[0]).read_text() == "mine"


def test_missing_or_wrong_archives(archives, tmp_path, monkeypatch):
    only_programs(monkeypatch, tmp_path, unar=STAND_INS["unar"])
    with pytest.raises(ValueError, match=r"nowhere does not exist: name the folder .*UCF101.rar"):
        prepare("ucf101", tmp_path / "nowhere", tmp_path / "out")
    os.rename(archives / VIDEOS, tmp_path / "elsewhere.rar")
    with pytest.raises(ValueError, match=r"UCF101.rar is not in .*download it from https://www.crcv.ucf.edu"):
        prepare("ucf101", archives, tmp_path / "out")
    write_lists(archives / LISTS, without="testlist02.txt")
    with pytest.raises(ValueError, match=r"lacks testlist02.txt: it is another archive"):
        prepare("ucf101", archives, tmp_path / "out2")
    (archives / LISTS).write_bytes(b"no zip")
    with pytest.raises(ValueError, match="or it is damaged: download it again"):
        prepare("ucf101", archives, tmp_path / "out3")
    assert not (tmp_path / "out3").exists()


def test_an_archive_without_clips(archives, tmp_path, monkeypatch):
    only_programs(monkeypatch, tmp_path, unrar="exit 0")
    with pytest.raises(ValueError, match=r"lacks .*it is another archive"):
        prepare("ucf101", archives, tmp_path / "out")


def _bomb_zip(path, size):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.avi", "w") as file:
        for _ in range(size // 2**20):
            file.write(bytes(2**20))


def _bomb_tar(path, size):
    path.with_suffix(".zero").write_bytes(b"")
    os.truncate(path.with_suffix(".zero"), size)  # takes no room on the disk
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(path.with_suffix(".zero"), "a.avi")


@pytest.mark.parametrize("make", [_bomb_zip, _bomb_tar])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, make):
    """0.4 GB of zeros, packed a thousandfold."""
    path, out = tmp_path / "bomb.bin", tmp_path / "out"
    make(path, 400 * 2**20)
    assert path.stat().st_size < 4 * 2**20
    with pytest.raises(ValueError, match=r"unpacks to more than \d+ MiB, which no data set"):
        archives_module.unpack(path, out)
    assert not any(file.is_file() for file in out.rglob("*"))


def test_free_disk_is_looked_at_first(tmp_path, monkeypatch):
    path = tmp_path / "fine.zip"
    _bomb_zip(path, 2 * 2**20)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives_module.shutil, "disk_usage", lambda folder: usage._replace(free=65 * 2**20))
    with pytest.raises(ValueError, match=r"has room for 0.00 GiB: make room, or give another --out"):
        archives_module.unpack(path, tmp_path / "out")


def test_a_refusal_leaves_no_empty_folder(tmp_path):
    (tmp_path / "UCF101TrainTestSplits-RecognitionTask.zip").write_bytes(b"no archive")
    for out in ("out", "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=r"zip|rar"):
            prepare("ucf101", tmp_path, tmp_path / out, echo=lambda line: None)
    assert not (tmp_path / "out").exists() and (tmp_path / "there").is_dir()
