"""k-reciprocal re-ranking on N x N matrices, step by step as published: what ours is tested and timed against.

Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017; torchreid's and
fast-reid's re-ranking are this one too.
"""

import numpy as np


def rerank_dense(
    q_g: np.ndarray, q_q: np.ndarray, g_g: np.ndarray, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> np.ndarray:
    """Re-ranked distances, computed in the type of the distances given.

    Args:
        q_g: (Q, G) distances of queries and gallery, not squared.
        q_q: (Q, Q) distances among the queries.
        g_g: (G, G) distances in the gallery.
        k1: neighbours that may be reciprocal.
        k2: neighbours averaged in the local query expansion.
        lambda_value: weight of the original distance.

    Returns:
        (Q, G) final distances.
    """
    original = np.square(np.block([[q_q, q_g], [q_g.T, g_g]]))
    original = (original / original.max(axis=0)).T
    rank = np.argsort(original, axis=1, kind="stable")
    weights = np.zeros_like(original)
    for i in range(len(original)):
        members = _enlarged_set(rank, i, k1)
        weight = np.exp(-original[i, members])
        weights[i, members] = weight / weight.sum()
    if k2 > 1:
        weights = np.stack([weights[rank[i, :k2]].mean(axis=0) for i in range(len(weights))])
    original = original[: len(q_g)]
    holders = [np.flatnonzero(column) for column in weights.T]
    jaccard = np.zeros_like(original)
    for i in range(len(original)):
        overlap = np.zeros(len(weights), original.dtype)
        for column in np.flatnonzero(weights[i]):
            rows = holders[column]
            overlap[rows] += np.minimum(weights[i, column], weights[rows, column])
        jaccard[i] = 1 - overlap / (2 - overlap)
    return ((1 - lambda_value) * jaccard + lambda_value * original)[:, len(q_g) :]


def _reciprocal_set(rank: np.ndarray, i: int, k: int) -> np.ndarray:
    """The k nearest of i (and i itself) that have i among their own."""
    near = rank[i, : k + 1]
    return near[(rank[near, : k + 1] == i).any(axis=1)]


def _enlarged_set(rank: np.ndarray, i: int, k1: int) -> np.ndarray:
    """The k1-reciprocal set of i with those of its members' half sets that lie in it by more than two thirds."""
    own = _reciprocal_set(rank, i, k1)
    members = [own]
    for member in own:
        half = _reciprocal_set(rank, member, int(np.around(k1 / 2)))
        if len(np.intersect1d(half, own)) > 2 / 3 * len(half):
            members.append(half)
    return np.unique(np.concatenate(members))
