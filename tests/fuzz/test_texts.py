"""Texts that people type or hand over: each is read, or refused by a `ValueError`; nothing else comes out of them."""

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specvid.datasets.layouts.table import read_table_set
from specvid.models.insertion.grammar import format_blocks, parse_blocks, parse_name
from specvid.pipelines.embed.inputs import find_inputs
from specvid.pipelines.search.where import parse

CRASHERS = Path(__file__).parent / "crashers"
COLUMNS = {
    "id": pa.string(),
    "camid": pa.int64(),
    "score": pa.float32(),
    "when": pa.timestamp("us"),
    "day": pa.date32(),
}

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pieces(*words: str) -> st.SearchStrategy[str]:
    """Texts of a language's own words, in any order, with anything else between them."""
    return st.lists(st.one_of(st.sampled_from(words), st.text(max_size=3)), max_size=12).map("".join)


BLOCKS = pieces(
    "snl", "nl", "(", ")", "mode=", "t+s", ",", "@", "layer3", ".-1", ":", "5", "res4", "{", "}", "[", "]", "'", '"',
    "\\", "=", "1e999", "-", "None", "{[]: 1}", "i3d_nln", " ", "x=",
)  # fmt: skip
FILTER = pieces(
    "id", "camid", "score", "when", "day", " == ", " != ", " < ", " in ", " not in ", " is ", "None", " and ", " or ",
    "not ", "(", ")", "[", "]", ",", "'a'", "'2024-01-31'", "1", "-", "9" * 30, "1e999", "contains", "column", "True",
    "~", "1j", "b'a'", "f'{id}'", "lambda: 0", " if ", "__import__('os')", "\\0",
)  # fmt: skip
TABLE = pieces(
    "path", "label", "group", "set", "start_s", "end_s", ",", ";", "\t", "\n", "\r\n", '"', "a.avi", "train", "1",
    "nan", "inf", "-1", "\ufeff", "\x00", "|", " ", "..", "/",
)  # fmt: skip


def blocks(text: str) -> None:
    try:
        parsed = parse_blocks(text)
    except ValueError:
        return
    assert parse_blocks(format_blocks(parsed)) == parsed


def name(text: str) -> None:
    with suppress(ValueError):
        parse_name(text)


def where(text: str) -> None:
    with suppress(ValueError):
        parse(text, COLUMNS)


def table(text: str, folder: Path) -> None:
    (folder / "clips.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (read_table_set, lambda path: find_inputs([path])):
        with suppress(ValueError):
            read(folder / "clips.csv")


def listed(text: str, folder: Path) -> None:
    (folder / "list.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ValueError):
        find_inputs([folder / "list.txt"])


@QUICK
@given(BLOCKS)
def test_blocks(text: str) -> None:
    blocks(text)


@QUICK
@given(BLOCKS)
def test_names(text: str) -> None:
    name(text)


@QUICK
@given(FILTER)
def test_filters(text: str) -> None:
    where(text)


@QUICK
@given(TABLE)
def test_tables(tmp_path: Path, text: str) -> None:
    table(text, tmp_path)


@QUICK
@given(TABLE)
def test_lists(tmp_path: Path, text: str) -> None:
    listed(text, tmp_path)


@pytest.mark.parametrize("crasher", sorted(CRASHERS.glob("*.txt")), ids=lambda path: path.stem)
def test_what_once_gave_way(crasher: Path, tmp_path: Path) -> None:
    """``crashers/KIND-WHAT.txt``: texts that ended in a traceback."""
    kind = crasher.stem.partition("-")[0]
    text = crasher.read_bytes().decode("utf-8", "surrogatepass")
    if kind in ("table", "list"):
        {"table": table, "list": listed}[kind](text, tmp_path)
    else:
        {"blocks": blocks, "name": name, "where": where}[kind](text)
