"""Lists that come as MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np


def read_matlab(path: Path, variable: str) -> np.ndarray:
    """Read a numeric variable of a MATLAB file.

    Args:
        path: of the file.
        variable: its name.

    Returns:
        int64 of any shape.

    Raises:
        ValueError: a missing or damaged file, no such variable, or one that does not hold whole numbers.
    """
    import scipy.io

    if not path.is_file():
        raise ValueError(f"{path} is missing; it is one of the data set's official files")
    try:
        content: dict[str, Any] = scipy.io.loadmat(path)
    except Exception as error:  # of many kinds, whatever the damage hits
        raise ValueError(f"{path} cannot be read as a MATLAB file ({error}); fetch or unpack it again") from None
    if variable not in content:
        known = ", ".join(name for name in content if not name.startswith("__"))
        raise ValueError(f"{path} has no variable {variable}; it has {known or 'none'}")
    values = np.asarray(content[variable])
    if values.dtype.kind not in "iuf" or not np.array_equal(values, values.astype(np.int64)):
        raise ValueError(f"{path}: variable {variable} must hold whole numbers, it is of type {values.dtype}")
    return values.astype(np.int64)
