"""Fonts for pictures: the glyphs of any names, from the fonts that are installed."""

import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from specvid.errors import SpecvidWarning

_FIRST = "DejaVu Sans"  # matplotlib's own
_NO_TEXT = ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp", "Mn")  # control, spaces, marks that a letter may carry


def families_for(texts: Iterable[str]) -> tuple[list[str], str]:
    """Font families that together have all glyphs of some texts, as far as fonts that have them are installed.

    Args:
        texts: e.g. names of classes.

    Returns:
        The families, in the order in which matplotlib should try them, and the characters that none of them has.
    """
    wanted = _letters(texts)
    families, missing = [_FIRST], _without(wanted, _FIRST)
    while missing:
        best = min(_families(), key=lambda name: (len(_without(missing, name)), name), default=_FIRST)
        left = _without(missing, best)
        if left == missing:
            break
        families.append(best)
        missing = left
    return families, "".join(sorted(missing))


@contextmanager
def lettering(texts: Iterable[str]) -> Iterator[None]:
    """Let matplotlib write some texts within, each letter with a font that has it.

    Letters that no installed font has a glyph for come as boxes; one warning names them.

    Args:
        texts: all names that will be drawn and saved.
    """
    import matplotlib

    with _quietly():
        families = _said(*families_for(texts))
        with matplotlib.rc_context({"font.family": families}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # said above, once
            warnings.filterwarnings("ignore", "constrained_layout not applied")  # of long names
            yield


@contextmanager
def _quietly() -> Iterator[None]:
    """Without matplotlib's lines on families that have one weight only."""
    logger = logging.getLogger("matplotlib.font_manager")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def font_for(text: str) -> str:
    """One font for a whole text, where fonts cannot be mixed; a warning names the letters that it lacks.

    Args:
        text: what it has to write.

    Returns:
        The file of the font.
    """
    with _quietly():
        wanted = _letters([text])
        others = _families() if _without(wanted, _FIRST) else ()
        family = min((_FIRST, *others), key=lambda name: len(_without(wanted, name)))
        _said([family], "".join(sorted(_without(wanted, family))))
        return _file(family)


def _said(families: list[str], missing: str) -> list[str]:
    """The families, after a warning of what they lack."""
    if missing:
        text = f"no installed font has a glyph for {missing[:60]}, drawn as boxes: install one, e.g. Noto"
        warnings.warn(text, SpecvidWarning, stacklevel=2)
    return families


def _file(family: str) -> str:
    from matplotlib import font_manager

    # matplotlib's own kind of text cannot be handed to another process
    return str(font_manager.findfont(font_manager.FontProperties(family=family), fallback_to_default=False))


def _letters(texts: Iterable[str]) -> set[str]:
    """What needs a glyph."""
    return {letter for text in texts for letter in text if unicodedata.category(letter) not in _NO_TEXT}


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
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(_file(family)).get_charmap())
    except (ValueError, RuntimeError, OSError):  # a font that cannot be read
        return frozenset()
