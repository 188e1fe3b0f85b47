"""Exact search: every row is compared."""

from collections.abc import Iterable, Iterator

import numpy as np

from specvid.pipelines.embed.folder import Rows


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to unit length.

    Args:
        vectors: (N, D).

    Returns:
        float32 (N, D); a zero vector stays zero, it is like nothing.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def unit_blocks(rows: Rows) -> Iterator[np.ndarray]:
    """All embeddings in the order of rows, as unit vectors (n, D), block by block."""
    return map(unit, rows.embeddings())


def exact_search(
    query_qd: np.ndarray, blocks: Iterable[np.ndarray], k: int, *, keep: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows most similar to each query.

    Args:
        query_qd: unit vectors (Q, D).
        blocks: unit vectors (n, D) of the rows, in order.
        k: how many rows.
        keep: bool (N,), rows that may answer; all if not given.

    Returns:
        Cosines float32 (Q, k) and row numbers int64 (Q, k), best first; equal ones come in the order of rows. Where
        fewer than ``k`` rows may answer, the rest is -1 with a cosine of -inf.
    """
    queries = len(query_qd)
    scores, rows = np.full((queries, k), -np.inf, np.float32), np.full((queries, k), -1, np.int64)
    start = 0
    for block in blocks:
        inside = np.arange(start, start + len(block))
        start += len(block)
        if keep is not None:
            inside = inside[keep[inside]]
            if not len(inside):
                continue
            block = block[inside - start + len(block)]
        scores = np.concatenate([scores, query_qd @ block.T], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(inside, (queries, len(inside)))], axis=1)
        order = best(scores, k)
        scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    return scores, rows


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """The largest scores of each query.

    Args:
        scores: (Q, n).
        k: how many, at most n.

    Returns:
        Places (Q, k) in the scores, the largest first, equal ones in order.
    """
    if scores.shape[1] > 4 * k:
        # All that reach the k-th largest value: ties at the edge are then decided by place, not by chance.
        limit = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
        order = np.empty((len(scores), k), np.int64)
        for line, (row, least) in enumerate(zip(scores, limit, strict=True)):
            places = np.flatnonzero(row >= least)
            order[line] = places[np.argsort(-row[places], kind="stable")[:k]]
        return order
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
