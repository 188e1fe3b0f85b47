"""Yes or no for each row of a table, as anybody writes it."""

from typing import Any

import numpy as np

_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def as_flags(values: Any, count: int, what: str) -> np.ndarray:
    """``values`` as a bool array (count,): booleans, 1 and 0, or the words true and false in any case.

    Raises:
        ValueError: another number of them, a missing one, or anything else (``bool("False")`` would be true).
    """
    flags = np.asarray(values)
    if flags.shape != (count,):
        raise ValueError(f"{what} has shape {flags.shape}; there must be one for each of the {count} feature rows")
    if flags.dtype.kind == "b":
        return flags
    words = [str(value) for value in (np.char.decode(flags, "utf-8") if flags.dtype.kind == "S" else flags).tolist()]
    found = [_WORDS.get(word.strip().lower()) for word in words]
    wrong = [row for row, flag in enumerate(found) if flag is None]
    if wrong:
        raise ValueError(
            f"{what} is {words[wrong[0]]!r} in row {wrong[0]} ({len(wrong)} such rows); it must be true or false, or 1 "
            "or 0, in each"
        )
    return np.array(found, bool)
