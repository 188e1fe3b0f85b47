"""Fonts for figures: the glyphs of any names, from the fonts that are installed."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_FIRST = "DejaVu Sans"  # matplotlib's own
_NO_TEXT = ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp", "Mn")  # control, spaces, marks that a letter may carry


def families_for(texts: Iterable[str]) -> tuple[list[str], str]:
    """Font families that together have all glyphs of some texts, as far as fonts that have them are installed.

    Args:
        texts: e.g. names of classes.

    Returns:
        The families, in the order in which matplotlib should try them, and the characters that none of them has.
    """
    wanted = {letter for text in texts for letter in text if unicodedata.category(letter) not in _NO_TEXT}
    families, missing = [_FIRST], _without(wanted, _FIRST)
    while missing:
        best = min(_families(), key=lambda name: (len(_without(missing, name)), name), default=_FIRST)
        left = _without(missing, best)
        if left == missing:
            break
        families.append(best)
        missing = left
    return families, "".join(sorted(missing))


def _without(letters: set[str], family: str) -> set[str]:
    """The letters that a family does not have."""
    has = _glyphs(family)
    return {letter for letter in letters if ord(letter) not in has}


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    from matplotlib import font_manager

    return tuple(sorted({entry.name for entry in font_manager.fontManager.ttflist}))


@lru_cache(maxsize=1024)
def _glyphs(family: str) -> frozenset[int]:
    """The code points that a family has glyphs for."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    try:
        path = font_manager.findfont(font_manager.FontProperties(family=family), fallback_to_default=False)
        return frozenset(FT2Font(path).get_charmap())
    except (ValueError, RuntimeError, OSError):  # a font that cannot be read
        return frozenset()
