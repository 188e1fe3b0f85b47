"""k-reciprocal re-ranking as its authors published it (Zhong et al. 2017, re_ranking.py), on whole matrices."""

import numpy as np


def k_reciprocal(
    q_g: np.ndarray, q_q: np.ndarray, g_g: np.ndarray, k1: int, k2: int, lambda_value: float
) -> np.ndarray:
    """Final distances (Q, G) from plain (not squared) distances."""
    original = np.concatenate([np.concatenate([q_q, q_g], axis=1), np.concatenate([q_g.T, g_g], axis=1)], axis=0)
    original = np.power(original, 2)
    original = np.transpose(original / np.max(original, axis=0))
    weights = np.zeros_like(original)
    rank = np.argsort(original, kind="stable")
    queries, count = len(q_g), len(original)
    for i in range(count):
        forward = rank[i, : k1 + 1]
        backward = rank[forward, : k1 + 1]
        reciprocal = forward[np.where(backward == i)[0]]
        expansion = reciprocal
        for candidate in reciprocal:
            half = int(np.around(k1 / 2)) + 1
            forward_c = rank[candidate, :half]
            backward_c = rank[forward_c, :half]
            reciprocal_c = forward_c[np.where(backward_c == candidate)[0]]
            if len(np.intersect1d(reciprocal_c, reciprocal)) > 2.0 / 3 * len(reciprocal_c):
                expansion = np.append(expansion, reciprocal_c)
        expansion = np.unique(expansion)
        weight = np.exp(-original[i, expansion])
        weights[i, expansion] = weight / np.sum(weight)
    original = original[:queries]
    if k2 != 1:
        expanded = np.zeros_like(weights)
        for i in range(count):
            expanded[i] = np.mean(weights[rank[i, :k2]], axis=0)
        weights = expanded
    inverted = [np.where(weights[:, i] != 0)[0] for i in range(count)]
    jaccard = np.zeros_like(original)
    for i in range(queries):
        smaller = np.zeros(count)
        for column in np.where(weights[i] != 0)[0]:
            rows = inverted[column]
            smaller[rows] += np.minimum(weights[i, column], weights[rows, column])
        jaccard[i] = 1 - smaller / (2.0 - smaller)
    final = jaccard * (1 - lambda_value) + original * lambda_value
    return final[:, queries:]
