"""Lists that come as MATLAB files."""

from pathlib import Path

import numpy as np

from specvid.matlab import MatlabFile


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
    if not path.is_file():
        raise ValueError(f"{path} is missing; it is one of the data set's official files")
    try:
        file = MatlabFile(path)
        values = file.read(variable) if variable in file.variables else None
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a MATLAB file ({error}); fetch or unpack it again") from None
    if values is None:
        raise ValueError(f"{path} has no variable {variable}; it has {', '.join(file.variables) or 'none'}")
    if values.dtype.kind not in "iuf" or not ((np.abs(values) < 2**53) & (np.trunc(values) == values)).all():
        raise ValueError(f"{path}: variable {variable} must hold whole numbers, it is of type {values.dtype}")
    return values.astype(np.int64)
