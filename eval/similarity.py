"""The similarity of two features, once exactly and once quickly.

Every ranking decision rests on two forms of the same number:

- ``exact``: the float64 value of single pairs, summed in one fixed order. It defines the ranking, so that no figure
  depends on block sizes, threads or the order of a BLAS sum;
- ``block``: the float32 values of a block of queries and gallery items at once, from FAISS. They are off by at most
  ``error_bound``, so only the pairs that lie closer together than that are ever computed exactly.

    cosine       <q, g> / (|q| |g|); simply <q, g> where all features are of unit length already
    euclidean    -|q - g|^2
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from specvid.errors import SpecvidWarning
from specvid.eval.matrix import LONG, SHORT, as_matrix, lengths_of, usual_lengths

METRICS = ("cosine", "euclidean")
GALLERY_BLOCK = 16384  # gallery rows in memory at a time
UNIT_TOLERANCE = 1e-3  # float16 features normalised before they were stored are this close to unit length
_ROUNDING = float(np.finfo(np.float32).eps) / 2
# Higham and Mary 2019: a float32 sum of n terms errs by over lambda sqrt(n) u with probability 2 exp(-lambda^2 / 2).
_CONFIDENCE = 8.0
_PAIR_BYTES = 2**18  # of one batch of exact pairs: small enough for the cache
_BATCHES = 64  # that a thread computes at a time
_MANY_TIES = 2048  # pairs; for fewer it is quicker to compare each than to look for copies


class Similarity:
    """Similarity of every query with every gallery feature.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features; read in blocks, so a memory map stays on disk.
        metric: ``cosine`` or ``euclidean`` (the larger the more alike: minus the squared distance).

    Features of extreme length (1e30 or 1e-30, say) are compared as well as any for ``cosine``, which does not depend on
    lengths: they are scaled to a length near 1.

    Raises:
        ValueError: another metric, widths that differ, NaN or infinite features, or for ``euclidean`` features so long
            or so short that float32 has no number for their squared distances.
    """

    def __init__(self, query: Any, gallery: Any, *, metric: str = "cosine") -> None:
        if metric not in METRICS:
            from specvid.errors import unknown

            raise unknown("metric", metric, METRICS)
        self.metric = metric
        self.query = as_matrix(query, "query")
        self.gallery = as_matrix(gallery, "gallery")
        if self.query.shape[1] != self.gallery.shape[1]:
            raise ValueError(
                f"query features have {self.query.shape[1]} dimensions and gallery features {self.gallery.shape[1]}; "
                "they must come from the same model"
            )
        self.query_norm = lengths_of(self.query, "query")
        self.gallery_norm = lengths_of(self.gallery, "gallery")
        norms = np.concatenate([self.query_norm, self.gallery_norm])
        if metric == "cosine":
            self.query, self.query_norm = usual_lengths(self.query, self.query_norm)
            self.gallery, self.gallery_norm = usual_lengths(self.gallery, self.gallery_norm)
        elif norms.max() > LONG or 0 < norms.max() < SHORT:
            raise ValueError(
                f"the longest feature has the length {norms.max():.3g}, and float32 cannot hold squared distances of "
                "such features: divide all of them by that length, or compare them by metric='cosine'"
            )
        norms = np.concatenate([self.query_norm, self.gallery_norm])
        self.is_unit = bool(np.all(np.abs(norms - 1) < UNIT_TOLERANCE))
        self._copies: tuple[np.ndarray, np.ndarray] | None = None

    def exact(self, query_rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
        """Float64 similarity of single pairs.

        Args:
            query_rows: (P,) query row of each pair.
            gallery_rows: (P,) its gallery row.

        Returns:
            (P,) float64.
        """
        scores = np.empty(len(query_rows))
        step = max(1, _PAIR_BYTES // (8 * self.query.shape[1]))

        def fill(start: int) -> None:
            for first in range(start, min(start + _BATCHES * step, len(scores)), step):
                part = slice(first, first + step)
                scores[part] = self._exact(query_rows[part], gallery_rows[part])

        starts = range(0, len(scores), _BATCHES * step)
        if len(starts) < 2:
            list(map(fill, starts))
        else:
            import torch

            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                list(pool.map(fill, starts))
        return scores

    def _exact(self, query_rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
        """``exact`` of a batch; row by row, so that a pair's sum is the same whatever else is in the batch."""
        q_pd = self.query[query_rows].astype(np.float64)
        g_pd = self.gallery[gallery_rows].astype(np.float64, copy=False)
        if self.metric == "euclidean":
            return -np.square(np.subtract(q_pd, g_pd, out=q_pd), out=q_pd).sum(axis=1)
        if self.is_unit:
            return np.multiply(q_pd, g_pd, out=q_pd).sum(axis=1)
        lengths = np.sqrt(np.square(q_pd).sum(axis=1)) * np.sqrt(np.square(g_pd).sum(axis=1))
        dots = np.multiply(q_pd, g_pd, out=q_pd).sum(axis=1)
        return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)

    def exact_of_ties(self, query_rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
        """``exact`` for pairs that float32 cannot distinguish: where there are many, most are copies of each other.

        Args:
            query_rows: (P,) query row of each pair.
            gallery_rows: (P,) its gallery row.

        Returns:
            (P,) float64, each distinct pair of features being compared once.
        """
        if len(query_rows) < _MANY_TIES:
            return self.exact(query_rows, gallery_rows)
        if self._copies is None:
            self._copies = _first_copies(self.query), _first_copies(self.gallery)
        first_query, first_gallery = self._copies
        items = len(self.gallery)
        distinct, which = np.unique(first_query[query_rows] * items + first_gallery[gallery_rows], return_inverse=True)
        return self.exact(distinct // items, distinct % items)[which]

    def query_lines(self, rows: np.ndarray) -> np.ndarray:
        """Queries prepared for ``block``.

        Args:
            rows: (b,) query rows.

        Returns:
            (b, D) float32, of unit length for cosine; a view where nothing is to be changed.
        """
        return self._lines(self.query, self.query_norm, rows)

    def gallery_lines(self, rows: np.ndarray) -> np.ndarray:
        """Gallery items prepared for ``block``.

        Args:
            rows: (n,) gallery rows.

        Returns:
            (n, D) float32, of unit length for cosine; a view where nothing is to be changed.
        """
        return self._lines(self.gallery, self.gallery_norm, rows)

    def block(self, query_lines: np.ndarray, gallery_lines: np.ndarray) -> np.ndarray:
        """Float32 similarities of a block of queries and gallery items at once.

        Args:
            query_lines: (b, D) from ``query_lines``.
            gallery_lines: (n, D) from ``gallery_lines``.

        Returns:
            (b, n) float32.
        """
        import torch  # noqa: F401, I001  # FAISS after torch: two OpenMP runtimes in the other order can hang
        import faiss

        if self.metric == "cosine":
            return faiss.pairwise_distances(query_lines, gallery_lines, faiss.METRIC_INNER_PRODUCT)
        distance = faiss.pairwise_distances(query_lines, gallery_lines, faiss.METRIC_L2)
        return np.negative(distance, out=distance)

    def error_bound(self, rows: np.ndarray) -> np.ndarray:
        """A bound on how far the values of ``block`` lie from those of ``exact``.

        Args:
            rows: (b,) query rows.

        Returns:
            (b,) the bound for each query.
        """
        relative = _CONFIDENCE * np.sqrt(self.query.shape[1] + 8) * _ROUNDING
        if self.metric == "cosine":
            return np.full(len(rows), relative * (1 + UNIT_TOLERANCE) ** 2)
        return relative * np.square(self.query_norm[rows] + self.gallery_norm.max())

    def _lines(self, features: np.ndarray, norms: np.ndarray, rows: np.ndarray) -> np.ndarray:
        is_run = len(rows) == rows[-1] - rows[0] + 1
        lines = features[rows[0] : rows[-1] + 1] if is_run else features[rows]
        lines = np.ascontiguousarray(lines, np.float32)
        if self.metric == "cosine" and not self.is_unit:
            length = norms[rows]
            # A zero feature stays zero: it is like nothing.
            lines = lines / np.where(length > 0, length, 1).astype(np.float32)[:, None]
        return lines


def warn_of_zeros(similarity: Similarity, *, stacklevel: int = 3) -> None:
    """Warn of features that are all zero: a tracklet without a readable frame, or a model that failed.

    Args:
        similarity: of the features.
        stacklevel: of the warning, as ``warnings.warn`` takes it.
    """
    sides = {"query ": similarity.query_norm, "gallery ": similarity.gallery_norm}
    if similarity.query is similarity.gallery:
        sides = {"": similarity.query_norm}
    for what, norms in sides.items():
        zeros = np.flatnonzero(norms == 0)
        if len(zeros):
            warnings.warn(
                f"{len(zeros)} of {len(norms)} {what}features are all zero (the first is row {zeros[0]}) and are "
                "scored as they are; look for tracklets without a readable frame, or a model that failed on them",
                SpecvidWarning,
                stacklevel=stacklevel,
            )


def _first_copies(matrix: np.ndarray) -> np.ndarray:
    """(N,) for each row the first row with the same bytes."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(row.tobytes(), number) for number, row in enumerate(matrix)], np.int64)
