"""Names in any script, with the fonts that are installed, in every picture."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from specvid import fonts
from specvid.errors import SpecvidWarning
from specvid.eval.classification import save_confusion
from specvid.eval.multilabel import save_average_precisions

HAVE = {"DejaVu Sans": "abc", "Han": "跳水a", "Both": "跳水พ", "Other": "x"}


@pytest.fixture
def few_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_families", lambda: tuple(HAVE))
    monkeypatch.setattr(fonts, "_glyphs", lambda family: frozenset(map(ord, HAVE[family])))
    monkeypatch.setattr(fonts, "_file", lambda family: f"{family}.ttf")


def test_matplotlib_brings_most_alphabets() -> None:
    assert fonts.families_for(["Прыжок e\u0301", "\ue000 a b"]) == (["DejaVu Sans"], "")


@pytest.mark.usefixtures("few_fonts")
def test_glyphs_are_sought_in_all_fonts_and_what_none_has_is_said() -> None:
    assert fonts.families_for(["abc 跳水 พ"]) == (["DejaVu Sans", "Both"], "")
    assert fonts.families_for(["跳ฮ"]) == (["DejaVu Sans", "Both"], "ฮ")
    assert fonts.families_for(["ฮ"]) == (["DejaVu Sans"], "ฮ")


@pytest.mark.usefixtures("few_fonts")
def test_one_font_for_a_text_is_the_one_that_lacks_least() -> None:
    assert fonts.font_for("abc") == "DejaVu Sans.ttf"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fonts.font_for("a 跳水") == "Han.ttf"
    with pytest.warns(UserWarning, match=r"no installed font has a glyph for b, drawn as boxes"):
        assert fonts.font_for("ab 跳水") == "Han.ttf"
    with pytest.warns(UserWarning, match=r"a glyph for ฮ, drawn"):
        assert fonts.font_for("ฮ") == "DejaVu Sans.ttf"


def test_a_font_is_a_file_that_can_draw() -> None:
    assert ImageFont.truetype(fonts.font_for("Прыжок 93%"), 12).getbbox("П")


@pytest.mark.parametrize("save", ["confusion", "average precision"])
def test_a_picture_says_once_in_words_what_no_font_has(save: str, tmp_path: Path) -> None:
    classes = ["\U000e0fff\U00012000\ue123", "Прыжок"]  # a cuneiform sign
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if save == "confusion":
            save_confusion(np.array([[1, 0, 0], [0, 1, 0]]), classes, tmp_path / "a.png", title="\U00012000")
        else:
            save_average_precisions(np.array([0.5, 0.2]), classes, tmp_path / "a.png", title="")
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert [str(warning.message) for warning in said if issubclass(warning.category, SpecvidWarning)] == [
        "no installed font has a glyph for \U00012000, drawn as boxes: install one, e.g. Noto"
    ]
