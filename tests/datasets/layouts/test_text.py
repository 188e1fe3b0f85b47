"""Lists and tables that were written elsewhere."""

import numpy as np
import pytest
from PIL import Image
from synthetic_videos import write_numbered

from specvid.datasets.layouts.registry import read_action, read_reid
from specvid.datasets.layouts.text import NameFinder, delimiter_of, read_text, split_label
from specvid.tools.data.check import check

MARKS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_byte_order_marks(tmp_path, encoding):
    mark = b"" if encoding == "utf-8-sig" else MARKS[encoding]
    (tmp_path / "a.txt").write_bytes(mark + "déjà\r\nvu\r\n".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "déjà\r\nvu\r\n"


def test_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_bytes("path,label\na.mp4,run\nb.mp4,déjà\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.csv, line 3 is not UTF-8 \(near .*: save the file as UTF-8, or give its"):
        read_text(tmp_path / "a.csv")
    assert "déjà" in read_text(tmp_path / "a.csv", "latin-1")
    with pytest.raises(ValueError, match="encoding 'latin1000' is unknown"):
        read_text(tmp_path / "a.csv", "latin1000")


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("path,label", ","),
        ("path;label", ";"),
        ("path\tlabel", "\t"),
        ("path|label", "|"),
        ("path", ","),
        ('"a,b,c";label', ";"),
        ("\npath;label", ";"),
    ],
)
def test_delimiters(header, delimiter):
    assert delimiter_of(f"{header}\n1;2,3,4,5\n") == delimiter


def test_labels_at_the_end_of_a_line():
    assert split_label("a b.mp4 3") == ("a b.mp4", "3")
    assert split_label("a b.mp4\t-1\r\n") == ("a b.mp4", "-1")
    assert split_label(" a b.mp4 ") == ("a b.mp4", "")
    assert split_label("clip 7") == ("clip", "7")


def test_names_that_are_spelt_otherwise(tmp_path):
    (tmp_path / "HandstandPushups").mkdir()
    (tmp_path / "HandstandPushups" / "v_HandStandPushups_g01_c01.avi").touch()
    for name in ("Two.avi", "two.avi", "back\\slash.avi"):
        (tmp_path / name).touch()
    finder = NameFinder(tmp_path)
    right = str(tmp_path / "HandstandPushups" / "v_HandStandPushups_g01_c01.avi")
    assert finder.find("HandstandPushups\\v_HandStandPushups_g01_c01.avi") == right
    assert finder.warnings() == ()
    assert finder.find("HandStandPushups/v_HandstandPushups_g01_c01.avi") == right
    assert finder.find("two.avi") == str(tmp_path / "two.avi")
    assert finder.find("TWO.avi") == str(tmp_path / "TWO.avi")  # which one is meant, nobody knows
    assert finder.find("back\\slash.avi") == str(tmp_path / "back\\slash.avi")
    assert finder.find("gone\\a.avi") == str(tmp_path / "gone" / "a.avi")
    assert finder.warnings() == (
        "1 name spelt with other capitals on the disk, e.g. HandStandPushups/v_HandstandPushups_g01_c01.avi is "
        "HandstandPushups/v_HandStandPushups_g01_c01.avi",
    )


def test_ucf101_lists_from_windows(tmp_path):
    """A byte order mark, CRLF, tabs, backslashes, other capitals, spaces in class names."""
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    mark = b"\xef\xbb\xbf"
    (lists / "classInd.txt").write_bytes(mark + b"1\tHandStand Pushups\r\n2 Archery\r\n")
    clips = ["HandStand Pushups\\v_HandStand Pushups_g{:02d}_c01.avi", "Archery\\v_Archery_g{:02d}_c01.avi"]
    for split in (1, 2, 3):
        train = [f"{clip.format(group)}\t{label}\r\n" for group in (1, 2) for label, clip in enumerate(clips, 1)]
        (lists / f"trainlist0{split}.txt").write_bytes(mark + "".join(train).encode())
        (lists / f"testlist0{split}.txt").write_text("".join(f"{clip.format(3)}\r\n" for clip in clips))
    for group in (1, 2, 3):
        for clip in clips:
            path = tmp_path / "videos" / clip.format(group).replace("\\", "/").replace("HandStand Pu", "Handstand Pu")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_numbered(path.parent, count=5).rename(path)
    (tmp_path / "videos" / "Archery" / "._v_Archery_g01_c01.avi").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (tmp_path / "__MACOSX").mkdir()
    data = read_action("ucf101", tmp_path)
    assert data.classes == ["HandStand Pushups", "Archery"]
    assert [record.label for record in data.train] == [0, 1, 0, 1]
    assert data.train[0].name == "HandStand Pushups/v_HandStand Pushups_g01_c01.avi"
    assert all(record.path.is_file() for record in data.records)
    report = check("ucf101", tmp_path, workers=1)
    assert report.ok, report.lines
    assert any("3 names spelt with other capitals on the disk" in line for line in report.lines)
    assert any("2 hidden files (or folders)" in line for line in report.lines)


def test_hidden_folders_replace_no_tracklet(tmp_path):
    """``.ipynb_checkpoints`` inside a camera's folder looked like its tracklets."""
    picture = Image.fromarray(np.zeros((8, 4, 3), np.uint8))
    for part in ("query", "gallery"):
        for identity in ("0001", "0002"):
            folder = tmp_path / part / identity / ("cam1" if part == "query" else "cam2")
            (folder / ".ipynb_checkpoints").mkdir(parents=True)
            (folder / "._1.jpg").write_bytes(b"\0\5\x16\7")
            for number in (1, 2, 10):
                picture.save(folder / f"{number}.jpg")
            picture.save(folder / ".ipynb_checkpoints" / "1-checkpoint.jpg")
    data = read_reid("tracklets", tmp_path)
    assert [tracklet.frames for tracklet in data.test] == [("1.jpg", "2.jpg", "10.jpg")] * 4
    report = check("tracklets", tmp_path, workers=1)
    assert report.ok, report.lines
    assert any("8 hidden files (or folders)" in line for line in report.lines)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_tracklets(tmp_path, delimiter):
    (tmp_path / "frames").mkdir()
    lines = [["path", "pid", "camid", "set"]]
    for pid in ("0012", "12"):
        for camid, part in ((1, "query"), (2, "gallery")):
            Image.fromarray(np.zeros((8, 4, 3), np.uint8)).save(tmp_path / "frames" / f"{pid}_{camid}.png")
            lines.append([f"frames\\{pid}_{camid}.png", pid, str(camid), part])
    text = "\r\n".join(delimiter.join(line) for line in lines)
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    data = read_reid("tracklets", tmp_path / "table.csv")
    assert sorted({tracklet.pid for tracklet in data.test}) == ["0012", "12"]  # two people
    assert all(tracklet.path(0).is_file() for tracklet in data.test)


def test_tables_with_spaces_and_empty_lines(tmp_path):
    """Around names of columns and cells, and before the header; a quote that never ends is named."""
    for name in ("a.mp4", " b.mp4"):
        (tmp_path / name).touch()
    table = tmp_path / "clips.csv"
    table.write_text("\n\n path , label , set\n\na.mp4 , run , train\n b.mp4, walk , test\n")
    data = read_action("table", table)
    assert data.classes == ["run", "walk"]
    assert [record.path.name for record in data.records] == ["a.mp4", " b.mp4"]
    table.write_text('path,label,set\n"a.mp4,run,train\n b.mp4,walk,test\n')
    with pytest.raises(
        ValueError, match=r"clips\.csv cannot be read as a table \(unexpected end of data; is a quote open"
    ):
        read_action("table", table)
