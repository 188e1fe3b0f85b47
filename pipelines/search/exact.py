"""Exact search: every row is compared."""

from collections.abc import Iterable, Iterator

import numpy as np

from specvid.pipelines.embed.rows import Rows


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to unit length.

    Args:
        vectors: (N, D).

    Returns:
        float32 (N, D); a zero vector stays zero, it is like nothing.

    Raises:
        ValueError: a number is NaN or infinite, which is like everything or nothing.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        bad = np.flatnonzero(~np.isfinite(lengths[:, 0]))
        raise ValueError(f"{len(bad)} of {len(vectors)} embeddings are not finite, or too large, the first is {bad[0]}")
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def unit_blocks(rows: Rows) -> Iterator[np.ndarray]:
    """All embeddings in the order of rows, block by block.

    Args:
        rows: of a data set.

    Yields:
        Unit vectors, (n, D).

    Raises:
        ValueError: one of them is not finite; its row is named.
    """
    start = 0
    for block in rows.embeddings():
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise ValueError(
                f"{str(rows.parts[0].parent)!r}: the embedding of row {row} is not finite, so nothing can be compared "
                "with it. Embed that input again: `specvid embed --retry-errors` after removing its part."
            )
        yield unit(block)
        start += len(block)


def exact_search(
    query_qd: np.ndarray, blocks: Iterable[np.ndarray], k: int, *, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows most similar to each query.

    Args:
        query_qd: unit vectors (Q, D).
        blocks: unit vectors (n, D) of the rows, in order.
        k: how many rows.
        mask: bool (N,), rows that may answer; all if not given.

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
        if mask is not None:
            inside = inside[mask[inside]]
            if not len(inside):
                continue
            block = block[inside - start + len(block)]
        cosines = query_qd @ block.T
        if not np.isfinite(cosines).all():
            raise ValueError("vectors are not finite: the index was altered. Build it again: `specvid search build`.")
        scores = np.concatenate([scores, cosines], axis=1)
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
