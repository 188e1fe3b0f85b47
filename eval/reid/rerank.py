"""k-reciprocal re-ranking.

Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017.

Two tracklets are alike where they have the same neighbours. With N = queries and gallery together and d = squared
distance divided by the largest of its row:

    R(i)    the k1 neighbours of i that have i among their own k1; enlarged by those of their own reciprocal sets
            (of k1 / 2) that overlap R(i) by more than 2/3
    V_i     exp(-d_ij) on R(i), normalised to sum 1; then averaged over the k2 nearest of i        (N x N, sparse)
    J_ij    1 - m / (2 - m), m = sum min(V_i, V_j)                                               (Jaccard distance)
    final   (1 - lambda) J_ij + lambda d_ij

Neighbours come from FAISS, V is sparse, and final distances are made for some queries at a time: nothing of size N x N
or Q x G is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from specvid.eval.neighbours import extreme_of, nearest_of
from specvid.eval.similarity import Similarity

_ROW_BYTES = 64 * 2**20
_ENCODE_ROWS = 1024
_GALLERY_ROWS = 8192
_DECIMALS = 12  # final distances are rounded to this, so that a tie does not hang on the last bit of a matrix product


@dataclass(frozen=True)
class KReciprocal:
    """Options of the re-ranking; the defaults are the paper's.

    Attributes:
        k1: neighbours that may be reciprocal.
        k2: neighbours averaged in the local query expansion; 1 for none.
        lambda_value: weight of the original distance against the Jaccard distance, 0 to 1.
    """

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 < 1 or not 1 <= self.k2 <= self.k1 + 1 or not 0 <= self.lambda_value <= 1:
            raise ValueError(
                f"re-ranking with k1={self.k1}, k2={self.k2}, lambda={self.lambda_value}: k1 must be at least 1, "
                "k2 from 1 to k1 + 1, lambda from 0 to 1"
            )

    def __str__(self) -> str:
        return f"k-reciprocal re-ranking (k1={self.k1}, k2={self.k2}, lambda={self.lambda_value})"

    def distances(self, query: Any, gallery: Any, *, metric: str = "cosine") -> np.ndarray:
        """The re-ranked distances as one matrix: for small sets; ``distance_blocks`` is for large ones.

        Args:
            query: (Q, D) features.
            gallery: (G, D) features.
            metric: ``cosine`` or ``euclidean``.

        Returns:
            (Q, G) float64.
        """
        blocks = self.distance_blocks(Similarity(query, gallery, metric=metric))
        return np.concatenate([distance for _, distance in blocks])

    def distance_blocks(self, similarity: Similarity) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Re-ranked distances of some queries at a time.

        Args:
            similarity: of the queries with the gallery.

        Yields:
            Successive query rows (b,), and their distances (b, G).
        """
        queries, items = len(similarity.query), len(similarity.gallery)
        everything = np.concatenate([similarity.query, similarity.gallery])
        universe = Similarity(everything, everything, metric=similarity.metric)
        weights, largest = self._encode(universe)
        step = max(1, _ROW_BYTES // (8 * items))
        inverted = weights.T.tocsr()
        for first in range(0, queries, step):
            rows = np.arange(first, min(first + step, queries))
            original = _squared_distances(similarity, rows) / largest[rows, None]
            jaccard = np.stack([_jaccard(weights, inverted, int(row))[queries:] for row in rows])
            final = (1 - self.lambda_value) * jaccard + self.lambda_value * original
            yield rows, np.round(final, _DECIMALS)

    def _encode(self, universe: Similarity) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
        """V (N, N) with its local query expansion, and the largest squared distance of each row (N,)."""
        count = len(universe.query)
        _, near_nk = nearest_of(universe, self.k1 + 1)
        least_similar, _ = extreme_of(universe, farthest=True)
        largest = _squared(universe, least_similar)
        largest = np.where(largest > 0, largest, 1)
        half = min(int(np.around(self.k1 / 2)) + 1, near_nk.shape[1])
        mutual = _is_mutual(near_nk)
        mutual_half = _is_mutual(near_nk[:, :half])
        pairs = [
            _reciprocal_sets(np.arange(first, min(first + _ENCODE_ROWS, count)), near_nk, mutual, mutual_half)
            for first in range(0, count, _ENCODE_ROWS)
        ]
        row, column = (np.concatenate(part) for part in zip(*pairs, strict=True))
        weight = np.exp(-_squared(universe, universe.exact(row, column)) / largest[row])
        weight /= np.bincount(row, weights=weight, minlength=count)[row]
        weights = scipy.sparse.csr_matrix((weight, (row, column)), shape=(count, count))
        if self.k2 > 1:
            near = near_nk[:, : self.k2]
            start = np.arange(0, near.size + 1, near.shape[1])
            mean = scipy.sparse.csr_matrix(
                (np.full(near.size, 1 / near.shape[1]), near.reshape(-1), start), shape=(count, count)
            )
            weights = (mean @ weights).tocsr()
        return weights, largest


def _is_mutual(near_nk: np.ndarray) -> np.ndarray:
    """(N, k) bool: the neighbour has the row among its own k neighbours."""
    mutual = np.empty(near_nk.shape, bool)
    for first in range(0, len(near_nk), _ENCODE_ROWS):
        block = near_nk[first : first + _ENCODE_ROWS]
        rows = np.arange(first, first + len(block))
        mutual[first : first + _ENCODE_ROWS] = (near_nk[block] == rows[:, None, None]).any(axis=2)
    return mutual


def _reciprocal_sets(
    rows: np.ndarray, near_nk: np.ndarray, mutual: np.ndarray, mutual_half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The enlarged k-reciprocal set of each row as pairs (row, member), each pair once."""
    half = mutual_half.shape[1]
    near, is_near = near_nk[rows], mutual[rows]
    of_near = near_nk[near, :half]  # (b, k, h): neighbours of the neighbours
    is_of_near = mutual_half[near] & is_near[:, :, None]
    shared = ((of_near[:, :, :, None] == near[:, None, None, :]) & is_near[:, None, None, :]).any(axis=3) & is_of_near
    size = is_of_near.sum(axis=2)
    joins = shared.sum(axis=2) > 2.0 / 3 * size
    is_member = is_of_near & joins[:, :, None]
    count = len(near_nk)
    base = rows * count
    keys = np.concatenate([(base[:, None] + near)[is_near], (base[:, None, None] + of_near)[is_member]])
    keys = np.unique(keys)
    return keys // count, keys % count


def _jaccard(weights: scipy.sparse.csr_matrix, inverted: scipy.sparse.csr_matrix, row: int) -> np.ndarray:
    """Jaccard distance (N,) of one row to all, from the columns that it shares with them."""
    own = slice(weights.indptr[row], weights.indptr[row + 1])
    columns, values = weights.indices[own], weights.data[own]
    begin, size = inverted.indptr[columns], np.diff(inverted.indptr)[columns]
    place = np.repeat(begin - np.concatenate([[0], np.cumsum(size)[:-1]]), size) + np.arange(size.sum())
    smaller = np.minimum(np.repeat(values, size), inverted.data[place])
    overlap = np.bincount(inverted.indices[place], weights=smaller, minlength=weights.shape[0])
    return 1 - overlap / (2 - overlap)


def _squared(similarity: Similarity, score: np.ndarray) -> np.ndarray:
    """Squared distance that belongs to a similarity (for cosine: of the normalised features)."""
    return np.maximum(2 - 2 * score if similarity.metric == "cosine" else -score, 0)


def _squared_distances(similarity: Similarity, rows: np.ndarray) -> np.ndarray:
    """Squared distances (b, G) of some queries to the whole gallery, float64, from products over gallery blocks."""
    out = np.empty((len(rows), len(similarity.gallery)))
    query = similarity.query[rows].astype(np.float64)
    query_square = np.square(query).sum(axis=1)[:, None]
    for first in range(0, out.shape[1], _GALLERY_ROWS):
        part = slice(first, first + _GALLERY_ROWS)
        gallery = similarity.gallery[part].astype(np.float64)
        product = query @ gallery.T
        gallery_square = np.square(gallery).sum(axis=1)[None]
        if similarity.metric == "euclidean":
            out[:, part] = np.maximum(query_square - 2 * product + gallery_square, 0)
            continue
        if not similarity.is_unit:
            lengths = np.sqrt(query_square) * np.sqrt(gallery_square)
            product = np.divide(product, lengths, out=np.zeros_like(product), where=lengths > 0)
        out[:, part] = np.maximum(2 - 2 * product, 0)
    return out
