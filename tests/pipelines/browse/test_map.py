"""The map: kept beside the embeddings, computed anew when rows changed."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_embeddings import write_embeddings

from specvid.pipelines.browse import map as module
from specvid.pipelines.browse.map import compute_map, open_map
from specvid.pipelines.browse.sets import open_sets
from specvid.pipelines.engine.log import silent

pytest.importorskip("torchdr", reason="pip install 'specvid[app]'")


def clusters(rows: int, seed: int = 0) -> np.ndarray:
    """Rows of three directions in turn, unit vectors."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(3, 16)[np.arange(rows) % 3] + 0.05 * rng.normal(size=(rows, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_what_is_alike_lies_together() -> None:
    points = compute_map(clusters(45))
    middles = np.stack([points[at::3].mean(0) for at in range(3)])
    spread = max(np.linalg.norm(points[at::3] - middles[at], axis=1).max() for at in range(3))
    between = min(np.linalg.norm(middles[at] - middles[at - 1]) for at in range(3))
    assert between > 2 * spread
    assert np.array_equal(points, compute_map(clusters(45)))


@pytest.mark.parametrize("vectors", [np.ones((30, 8)) / 8**0.5, np.eye(2), np.ones((1, 1)), np.zeros((0, 4))])
def test_odd_sets_have_a_map(vectors: np.ndarray) -> None:
    points = compute_map(vectors.astype(np.float32))
    assert points.shape == (len(vectors), 2) and np.isfinite(points).all()


def test_it_is_stored_and_computed_anew_when_rows_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def count(vectors: np.ndarray, *, device: str) -> np.ndarray:
        computed.append(len(vectors))
        return vectors[:, :2]

    monkeypatch.setattr(module, "compute_map", count)
    one, other = write_embeddings(tmp_path / "one", clusters(20), shard_size=6), tmp_path / "other"
    write_embeddings(other, clusters(8, seed=1))

    def shown(*paths: Path, most: int = 100) -> int:
        return len(open_map(open_sets(paths), most=most, echo=silent).points)

    assert shown(one.path) == shown(one.path, most=99) == 20 and computed == [20]
    assert shown(one.path, other) == shown(one.path, other) == 28 and computed == [20, 28]
    assert shown(one.path) == 20 and computed == [20, 28]  # each has a file of its own
    file = one.map / "umap.parquet"
    file.write_bytes(file.read_bytes()[:100])
    assert shown(one.path) == 20 and computed == [20, 28, 20]
    write_embeddings(one.path, clusters(21), shard_size=6)
    assert shown(one.path) == 21 and shown(one.path, most=5) == 5 and computed[3:] == [21, 5]
    assert not list(one.map.glob(".*"))
    one.clear()
    assert not one.map.exists()
