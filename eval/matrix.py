"""Matrices of features: from whatever holds them, their lengths, and lengths that float32 can square."""

from typing import Any

import numpy as np

SHORT, LONG = 1e-15, 1e15
"""Lengths beyond which squares may leave the range of float32."""

_ROWS = 4096  # of a block


def as_matrix(values: Any, what: str) -> np.ndarray:
    """Features as a float array, without a copy where possible.

    Args:
        values: (N, D) array, memory map or tensor on any device.
        what: whose they are, for the error ("query").

    Returns:
        (N, D) of a float type.

    Raises:
        ValueError: another shape, or values that are no real numbers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):
            values = values.float()
        values = values.numpy()
    matrix = np.asarray(values)
    if matrix.ndim != 2:
        raise ValueError(f"{what} features have shape {matrix.shape}; they must be a matrix (tracklets, dimensions)")
    if matrix.dtype.kind not in "fiu":
        raise ValueError(f"{what} features are of type {matrix.dtype}; they must be real numbers")
    if matrix.shape[0] == 0 or matrix.shape[1] == 0:
        raise ValueError(f"{what} features have shape {matrix.shape}: there is nothing to compare")
    return matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)


def lengths_of(matrix: np.ndarray, what: str) -> np.ndarray:
    """Euclidean length of each row, in blocks.

    Args:
        matrix: (N, D) features.
        what: whose they are, for the error ("query").

    Returns:
        (N,) float64.

    Raises:
        ValueError: rows that are not finite; the message names the first.
    """
    norms = np.empty(len(matrix))
    for start in range(0, len(matrix), _ROWS):
        block = matrix[start : start + _ROWS]
        if block.dtype == np.float16:
            block = block.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            norms[start : start + len(block)] = np.sqrt(np.einsum("nd,nd->n", block, block))
        odd = start + np.flatnonzero(~_is_usual(norms[start : start + len(block)]))
        norms[odd] = _norms_of_any_length(matrix[odd].astype(np.float64))
    if not np.isfinite(norms).all():
        bad = np.flatnonzero(~np.isfinite(norms))
        raise ValueError(
            f"{len(bad)} {what} features are not finite (the first is row {bad[0]}): NaN or infinite values cannot be "
            "ranked; look for a model that diverged or an empty tracklet"
        )
    return norms


def _is_usual(norms: np.ndarray) -> np.ndarray:
    """(N,) bool: neither squares nor products of such lengths leave the range of float32."""
    return (norms > SHORT) & (norms < LONG)


def _norms_of_any_length(matrix: np.ndarray) -> np.ndarray:
    """Euclidean lengths (N,) whose squares may be beyond the range of float64; NaN of rows that are not finite."""
    largest = np.abs(matrix).max(axis=1)
    divisor = np.where((largest > 0) & np.isfinite(largest), largest, 1)[:, None]
    return np.where(np.isfinite(largest), divisor[:, 0] * np.sqrt(np.square(matrix / divisor).sum(axis=1)), np.nan)


def usual_lengths(matrix: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale features of unusual length by a power of two, which changes no digit.

    Args:
        matrix: (N, D) features.
        norms: (N,) their lengths.

    Returns:
        Features and lengths; the very arrays where all lengths are usual.
    """
    if np.all(_is_usual(norms) | (norms == 0)):
        return matrix, norms
    exponent = np.where(_is_usual(norms), 0, -np.frexp(norms)[1])
    return np.ldexp(matrix, exponent[:, None]), np.ldexp(norms, exponent)
