"""Text and JSON of others: what no sound file has is refused by a `ValueError`, before it costs memory or time."""

import os
from pathlib import Path

import pytest

from specvid import reading
from specvid.reading import parse_json, read_json, read_plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),  # Python reads it, but nothing could write it out
        ('{"a":' * 150 + "1" + "}" * 150, "nested too deeply"),
        ("9" * 6000, "4300 digits"),
        (b"\xff\xfe\x00", "codec can't decode"),
        ("", "Expecting value"),
    ],
)
def test_what_is_no_json(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_what_is_json() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert parse_json("5") == 5
    assert parse_json("[" * 90 + "]" * 90)


def test_only_plain_files_of_a_size(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("four")
    assert read_plain(path) == b"four"
    with pytest.raises(ValueError, match=r"list\.txt' is not read: it has more than"):
        read_plain(path, largest=3)
    os.truncate(path, 2**40)  # sparse: it takes no place on the disk
    with pytest.raises(ValueError, match="more than 2,048 MiB"):
        read_plain(path)
    for odd in ("zero.json", "pipe.json"):
        if odd == "pipe.json":
            os.mkfifo(tmp_path / odd)
        else:
            (tmp_path / odd).symlink_to("/dev/zero")
        for read in (read_plain, read_json):
            with pytest.raises(ValueError, match=f"{odd}' is no plain file"):
                read(tmp_path / odd)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_json_is_read_from_plain_files_only(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    {"device": lambda: path.symlink_to("/dev/zero"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(ValueError, match=r"index.json' is no plain file"):
        read_json(path)


def test_json_without_end_is_read_no_further_than_allowed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_LARGEST_JSON", 2**20)
    (tmp_path / "large.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ValueError, match="it has more than 1 MiB"):
        read_json(tmp_path / "large.json")
