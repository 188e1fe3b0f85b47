"""The similarity of two features, once exactly and once quickly.

Every ranking decision rests on two forms of the same number:

- ``exact(i, j)``: the float64 value, summed in one fixed order for each pair. It defines the ranking, so that no figure
  depends on block sizes, threads or the order of a BLAS sum;
- ``query_block`` x ``gallery_block``: float32 rows whose inner product is ``similarity - threshold`` up to
  ``error_bound``. FAISS multiplies them, and only the pairs that this rounding leaves open are computed exactly.

    cosine       <q, g> / (|q| |g|), as <q, g> where all features are of unit length already;   rows [q, -t] and [g, 1]
    euclidean    -|q - g|^2;                                      rows [2q, -1, -|q|^2 - t] and [g, |g|^2, 1]
"""

from typing import Any

import numpy as np

METRICS = ("cosine", "euclidean")
UNIT_TOLERANCE = 1e-3  # float16 features normalised before they were stored are this close to unit length
_ROUNDING = float(np.finfo(np.float32).eps) / 2
# Higham and Mary 2019: a float32 sum of n terms errs by over lambda sqrt(n) u with probability 2 exp(-lambda^2 / 2).
_CONFIDENCE = 8.0
_PAIR_BYTES = 16 * 2**20
_NORM_ROWS = 4096


def as_matrix(values: Any, what: str) -> np.ndarray:
    """``values`` (array, memory map or tensor on any device) as a float array (N, D), without a copy where possible."""
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


class Similarity:
    """Similarity of every query with every gallery feature.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features; read in blocks, so a memory map stays on disk.
        metric: ``cosine`` or ``euclidean`` (the larger the more alike: minus the squared distance).

    Raises:
        ValueError: another metric, widths that differ, NaN or infinite features.
    """

    def __init__(self, query: Any, gallery: Any, *, metric: str = "cosine") -> None:
        if metric not in METRICS:
            from specvid.models.suggest import unknown

            raise unknown("metric", metric, METRICS)
        self.metric = metric
        self.query = as_matrix(query, "query")
        self.gallery = as_matrix(gallery, "gallery")
        if self.query.shape[1] != self.gallery.shape[1]:
            raise ValueError(
                f"query features have {self.query.shape[1]} dimensions and gallery features {self.gallery.shape[1]}; "
                "they must come from the same model"
            )
        self.query_norm = _norms(self.query, "query")
        self.gallery_norm = _norms(self.gallery, "gallery")
        norms = np.concatenate([self.query_norm, self.gallery_norm])
        self.is_unit = bool(np.all(np.abs(norms - 1) < UNIT_TOLERANCE))
        self.width = self.query.shape[1] + (1 if metric == "cosine" else 2)

    def exact(self, query_rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
        """Float64 similarity (P,) of the pairs ``query_rows[p], gallery_rows[p]``."""
        scores = np.empty(len(query_rows))
        step = max(1, _PAIR_BYTES // (8 * self.query.shape[1]))
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            # Row by row, so that a pair's sum is the same whatever else is in the batch.
            q_pd = self.query[query_rows[part]].astype(np.float64)
            g_pd = self.gallery[gallery_rows[part]].astype(np.float64)
            if self.metric == "euclidean":
                scores[part] = -np.square(q_pd - g_pd).sum(axis=1)
            elif self.is_unit:
                scores[part] = (q_pd * g_pd).sum(axis=1)
            else:
                lengths = np.sqrt(np.square(q_pd).sum(axis=1)) * np.sqrt(np.square(g_pd).sum(axis=1))
                dots = (q_pd * g_pd).sum(axis=1)
                scores[part] = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
        return scores

    def gallery_block(self, rows: np.ndarray) -> np.ndarray:
        """Gallery rows as float32 (len(rows), width), ready for an inner-product index."""
        block = np.empty((len(rows), self.width), np.float32)
        features = block[:, : self.gallery.shape[1]]
        contiguous = len(rows) == rows[-1] - rows[0] + 1
        features[...] = self.gallery[rows[0] : rows[-1] + 1] if contiguous else self.gallery[rows]
        if self.metric == "euclidean":
            block[:, -2] = np.square(self.gallery_norm[rows])
        elif not self.is_unit:
            features /= _nonzero(self.gallery_norm[rows])[:, None]
        block[:, -1] = 1
        return block

    def query_block(self, rows: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Query rows as float32 (len(rows), width): times a gallery row they give similarity - threshold."""
        block = np.empty((len(rows), self.width), np.float32)
        features = block[:, : self.query.shape[1]]
        features[...] = self.query[rows]
        if self.metric == "euclidean":
            features *= 2
            block[:, -2] = -1
            block[:, -1] = -np.square(self.query_norm[rows]) - thresholds
        else:
            if not self.is_unit:
                features /= _nonzero(self.query_norm[rows])[:, None]
            block[:, -1] = -thresholds
        return block

    def error_bound(self, rows: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """(Q,) how far the float32 products of these queries may lie from similarity - threshold."""
        relative = _CONFIDENCE * np.sqrt(self.width + 4) * _ROUNDING
        if self.metric == "cosine":
            return relative * ((1 + UNIT_TOLERANCE) ** 2 + np.abs(thresholds))
        query_norm = self.query_norm[rows]
        longest = self.gallery_norm.max()
        offset = np.abs(np.square(query_norm) + thresholds)
        return relative * (2 * query_norm * longest + longest**2 + offset)


def _norms(matrix: np.ndarray, what: str) -> np.ndarray:
    """Euclidean length (N,) of each row as float64, in blocks; names the first row that is not finite."""
    norms = np.empty(len(matrix))
    for start in range(0, len(matrix), _NORM_ROWS):
        block = matrix[start : start + _NORM_ROWS]
        if block.dtype == np.float16:
            block = block.astype(np.float32)
        norms[start : start + _NORM_ROWS] = np.sqrt(np.einsum("nd,nd->n", block, block))
    if not np.isfinite(norms).all():
        bad = np.flatnonzero(~np.isfinite(norms))
        raise ValueError(
            f"{len(bad)} {what} features are not finite (the first is row {bad[0]}): NaN or infinite values cannot be "
            f"ranked; "
            "look for a model that diverged or an empty tracklet"
        )
    return norms


def _nonzero(norms: np.ndarray) -> np.ndarray:
    """Lengths to divide by: a zero feature stays zero, similar to nothing."""
    return np.where(norms > 0, norms, 1)
