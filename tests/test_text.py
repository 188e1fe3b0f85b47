"""Tables as text."""

from specvid.text import to_markdown, to_text

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
