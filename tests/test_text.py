"""Numbers with their nouns, and tables, as text."""

import pytest

from specvid.errors import VideoError
from specvid.text import (
    counted,
    csv_cell,
    markdown_text,
    path_on_one_line,
    percent,
    to_markdown,
    to_text,
    without_controls,
)

ROWS = [["name", "share", "of"], ["a|b", "9.5", ""], ["long name", "100.0", "x"]]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert to_text(ROWS).splitlines() == [
        "name       share  of",
        "---------  -----  --",
        "a|b        9.5",
        "long name  100.0  x",
    ]


def test_the_last_side_stands_for_the_columns_beyond_it() -> None:
    assert to_text(ROWS, align="<>", rule=False).splitlines() == [
        "name       share  of",
        "a|b          9.5",
        "long name  100.0   x",
    ]


def test_markdown_is_padded_and_escapes_bars() -> None:
    assert to_markdown(ROWS).splitlines() == [
        "| name      | share | of |",
        "|-----------|-------|----|",
        "| a\\|b      | 9.5   |    |",
        "| long name | 100.0 | x  |",
    ]


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "clip", "1 clip"), (0, "clip", "0 clips"), (3, "class", "3 classes"), (1501, "identity", "1,501 identities")],
)
def test_a_number_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_any_path_is_one_line_of_text() -> None:
    """Bytes that are not UTF-8, control characters, half a letter."""
    for path, text in (
        ("жук/a b.mp4", "жук/a b.mp4"),
        ("caf\udce9.mp4", "caf\\xe9.mp4"),
        ("a\nb.mp4", "a\\nb.mp4"),
        ("\ud800.mp4", "\\ud800.mp4"),
    ):
        assert path_on_one_line(path) == text
        assert str(VideoError(path, "is empty")) == f"{text}: is empty"
        assert VideoError(path, "is empty").path == path


def test_cells_are_no_formulas() -> None:
    for name in ("=HYPERLINK(1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"):
        assert csv_cell(name) == f"'{name}"
    for value in ("a=b", "clip-1.avi", "-0.5", "+1e-3", "", -1, None):
        assert csv_cell(value) == value


def test_a_terminal_obeys_no_name() -> None:
    """ESC ] 0 ; sets the title of a window, ESC [ 31 m the colour; 0x9b is ESC [ in one byte."""
    assert without_controls("a\x1b]0;x\x07\x1b[31m\x9b\r\x7f") == "a\\x1b]0;x\\x07\\x1b[31m\\x9b\\r\\x7f"
    assert without_controls("two\tcolumns\nand é, 類, \u200d") == "two\tcolumns\nand é, 類, \u200d"
    assert to_text([["a", "b"], ["x\x1b[31m\ny", "1"]], rule=False).splitlines()[1] == "x\\x1b[31m\\ny  1"


def test_markdown_has_no_tags_and_no_links_of_others() -> None:
    name = "[x](javascript:alert(1)) <img src=x> `b` | \n# c\ud83d"
    assert markdown_text(name) == ("\\[x\\](javascript:alert(1)) \\<img src=x\\> \\`b\\` \\| \\\\n# c\\\\ud83d")
    assert "\\<img src=x>" in to_markdown([["a"], ["<img src=x>"]])


def test_long_words_of_others_are_shortened() -> None:
    from specvid.text import shortened

    for given in ("x" * 100_000, "'" + "a b " * 50_000 + "'", "'" * 3 + "y" * 5000):
        text = shortened(f"freeze {given} names no part: leave it out.")
        assert len(text) < 400 and text.startswith("freeze ") and text.endswith("names no part: leave it out.")
    assert shortened("freeze 'layer9' names no part") == "freeze 'layer9' names no part"


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0"), (0.0057, "0.57"), (0.36, "36"), (0.994, "99"), (0.996, "100"), (2.31, "231")]
)
def test_shares_as_per_cent(share: float, text: str) -> None:
    assert percent(share) == text
