"""Leave-one-group-out nearest neighbours against a slow search."""

import numpy as np
import pytest

from specvid.eval import embeddings as module
from specvid.eval.embeddings import leave_group_out


def slow(features: np.ndarray, groups: list) -> list[int]:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    others = [[row for row in range(len(unit)) if groups[row] != groups[me]] for me in range(len(unit))]
    return [max(rows, key=lambda row: (float(unit[me] @ unit[row]), -row)) for me, rows in enumerate(others)]


@pytest.mark.parametrize("block", [7, 1000])
def test_it_is_the_slow_search(block: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 5)).astype(np.float32), rng.integers(0, 3, 60)
    groups = [f"g{number}" for number in rng.integers(0, 9, 60)]
    score = leave_group_out(features, labels, groups)
    neighbours = slow(features, groups)
    assert score.neighbours.tolist() == neighbours
    right = labels[neighbours] == labels
    assert score.accuracy == right.mean()
    assert score.per_class == {label: right[labels == label].mean() for label in range(3)}


def test_the_own_group_never_answers() -> None:
    """Twins in one group would be right; the nearest of another group is wrong."""
    features = np.array([[1, 0], [1, 0.01], [0.9, 0.1], [0, 1]])
    score = leave_group_out(features, ["a", "a", "b", "a"], [1, 1, 2, 3])
    assert score.neighbours.tolist() == [2, 2, 1, 2] and score.accuracy == 0
    assert score.hopeless == 1  # no other group has a b


def test_mistakes_are_told() -> None:
    features = np.eye(3)
    with pytest.raises(ValueError, match="at least two groups"):
        leave_group_out(features, [0, 1, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="expected as many"):
        leave_group_out(features, [0, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="not finite"):
        leave_group_out(features * np.nan, [0, 1, 2], [1, 2, 3])
