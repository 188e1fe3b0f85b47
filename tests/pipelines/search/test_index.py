"""Exact search, and the FAISS indexes against it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_embeddings import write_embeddings

from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.build import build_index
from specvid.pipelines.search.exact import exact_search, unit, unit_blocks
from specvid.pipelines.search.index import open_index
from specvid.pipelines.search.parameters import ivfpq_parameters
from specvid.pipelines.search.query import search


def clusters(count: int, dim: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(2, count // 40), dim))
    return (centres[rng.integers(len(centres), size=count)] + 0.5 * rng.normal(size=(count, dim))).astype(np.float32)


def slow(query: np.ndarray, vectors: np.ndarray, k: int, keep: np.ndarray | None = None) -> list[list[int]]:
    rows = [row for row in range(len(vectors)) if keep is None or keep[row]]
    return [sorted(rows, key=lambda row: (-float(q @ vectors[row]), row))[:k] for q in query]


@pytest.mark.parametrize("k", [1, 7, 40])
@pytest.mark.parametrize("block", [1, 13, 100])
def test_exact_search_is_the_sorted_list(k: int, block: int) -> None:
    vectors = np.random.default_rng(0).integers(-2, 3, (60, 4)).astype(np.float32)  # many equal similarities
    keep = np.random.default_rng(1).random(60) < 0.8
    blocks = [vectors[start : start + block] for start in range(0, 60, block)]
    for mask in (None, keep):
        _, found = exact_search(vectors[:9], blocks, k, mask=mask)
        assert found.tolist() == slow(vectors[:9], vectors, k, mask)


def test_where_too_few_may_answer_the_rest_is_marked() -> None:
    scores, found = exact_search(np.eye(2, dtype=np.float32), [np.eye(2, dtype=np.float32)], 3)
    assert found.tolist() == [[0, 1, -1], [1, 0, -1]] and np.isneginf(scores[:, 2]).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    vectors = clusters(3000, 30)  # 30 is no multiple of 4: ivfpq has to pad
    return write_embeddings(
        tmp_path_factory.mktemp("emb"), vectors, columns={"part": np.arange(3000) % 5}, shard_size=999
    )


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_an_index_finds_what_the_exact_search_finds(folder: Folder, kind: str) -> None:
    lines: list[str] = []
    about = build_index(folder.path, kind, echo=lines.append)
    assert about["recall@10"] >= 0.95 and about["rows"] == 3000
    rows = Rows(folder)
    index = open_index(folder, rows)
    assert index is not None and (index.quick is None) == (kind == "flat")
    vectors = np.concatenate(list(unit_blocks(rows)))
    assert np.array_equal(index.vectors, vectors)
    assert np.array_equal(np.concatenate(list(index.blocks())), vectors)
    assert all(block.flags.aligned for block in index.blocks())  # or numpy takes many times as long
    query = unit(vectors[5::97] + 0.01)
    scores, found = index.search(query, 10)
    truth = slow(query, vectors, 10)
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(truth, found.tolist(), strict=True)])
    assert recall == 1 if kind == "flat" else recall > 0.9
    np.testing.assert_allclose(scores, np.take_along_axis(query @ vectors.T, found, 1), atol=1e-6)  # they are exact
    keep = np.arange(3000) % 5 == 3
    assert index.search(query, 10, mask=keep)[1].tolist() == slow(query, vectors, 10, keep)
    if kind != "flat":
        assert any("recall@10" in line for line in lines)


@pytest.mark.parametrize("kind", ["none", "flat", "hnsw"])
def test_search_by_id_leaves_the_row_out_and_filters(folder: Folder, kind: str) -> None:
    import shutil

    if kind == "none":
        shutil.rmtree(folder.path / "index", ignore_errors=True)
    else:
        build_index(folder.path, kind)
    vectors = np.concatenate(list(unit_blocks(Rows(folder))))
    expected = [row for row in slow(vectors[7:8], vectors, 6)[0] if row != 7][:5]
    answer = search(folder.path, "n7", k=5)
    assert [row.columns["id"] for row in answer.rows] == [f"n{row}" for row in expected]
    assert [row.rank for row in answer.rows] == [1, 2, 3, 4, 5] and answer.rows[0].columns["part"] == expected[0] % 5
    few = search(folder.path, "n7", k=5, where="part in [1, 2] and id != 'n7'")
    keep = np.isin(np.arange(3000) % 5, [1, 2]) & (np.arange(3000) != 7)
    assert [row.columns["id"] for row in few.rows] == [f"n{row}" for row in slow(vectors[7:8], vectors, 5, keep)[0]]
    assert (few.method, few.rows_searched) == ("exact", int(keep.sum()))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_an_index_that_nobody_holds_leaves_the_memory(folder: Folder, kind: str) -> None:
    build_index(folder.path, kind)

    def mapped() -> int:
        return sum(str(folder.path) in line for line in Path("/proc/self/maps").read_text().splitlines())

    before = mapped()
    index = open_index(folder, Rows(folder))
    assert index is not None and mapped() > before
    del index
    assert mapped() == before


def test_half_precision_and_zero_vectors(tmp_path: Path) -> None:
    vectors = clusters(50, 8)
    vectors[3] = 0
    write_embeddings(tmp_path, vectors, dtype="fp16")
    assert build_index(tmp_path, "hnsw")["recall@10"] >= 0.95
    assert search(tmp_path, "n0", k=49).rows[0].score <= 1.001


def test_a_full_disk_leaves_the_index_before(tmp_path: Path) -> None:
    """A limit on the size of files, which the system itself enforces."""
    import resource
    import signal

    few = write_embeddings(tmp_path, clusters(200, 16))
    before = build_index(few.path, "flat")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    try:
        with pytest.raises(OSError, match=r"index cannot be written: .*start again"):
            build_index(few.path, "hnsw")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    index = open_index(few, Rows(few))
    assert index is not None and index.metadata == before and len(index.search(index.vectors[:1], 3)[1][0]) == 3
    assert sorted(path.name for path in tmp_path.iterdir() if "index" in path.name) == ["index"]


def test_an_index_is_read_where_a_kill_came_before_its_last_rename(tmp_path: Path) -> None:
    folder = write_embeddings(tmp_path, clusters(200, 16))
    first = build_index(folder.path, "flat")
    (tmp_path / "index").rename(tmp_path / ".index.ready")
    index = open_index(folder, Rows(folder))
    assert index is not None and index.metadata == first
    second = build_index(folder.path, "hnsw")
    index = open_index(folder, Rows(folder))
    assert index is not None and index.metadata == second
    (tmp_path / "index").rename(tmp_path / ".index.ready")
    folder.clear()
    assert not [path.name for path in tmp_path.iterdir() if "index" in path.name]


def test_the_goal_is_reached_with_room_to_spare(tmp_path: Path) -> None:
    """Other queries than those that were measured reach the recall too."""
    vectors = np.random.default_rng(3).normal(size=(4000, 48))  # nothing is near anything: the worst case
    few = write_embeddings(tmp_path, vectors[:3500])
    about = build_index(few.path, "ivfpq", recall=0.8)
    index = open_index(few, Rows(few))
    assert index is not None and 0.8 <= about["recall@10"] < 1
    query = unit(vectors[3500:])
    truth, found = exact_search(query, index.blocks(), 10)[1], index.search(query, 10)[1]
    assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)]) >= 0.8


def test_mistakes_are_refused(folder: Folder, tmp_path: Path) -> None:
    def refused(match: str, function: Any, *arguments: Any, **named: Any) -> None:
        with pytest.raises(ValueError, match=match):
            function(*arguments, **named)

    refused("Did you mean 'hnsw'", build_index, folder.path, "hsnw")
    refused("holds no embeddings", build_index, tmp_path, "flat")
    refused("recall 2", build_index, folder.path, "hnsw", recall=2)
    refused("neither an id in", search, folder.path, "n3000")
    refused("k 0 must be", search, folder.path, "n3", k=0)
    few = write_embeddings(tmp_path / "few", clusters(20, 4))
    refused("cannot be trained on 20 rows", build_index, few.path, "ivfpq")
    build_index(few.path, "flat")
    write_embeddings(tmp_path / "few", clusters(21, 4))
    refused("of other embeddings", search, few.path, "n3")


@pytest.mark.parametrize(("rows", "dim"), [(700, 3), (20_000, 512), (1_000_000, 512), (50_000_000, 101)])
def test_parameters_can_be_trained(rows: int, dim: int) -> None:
    made = ivfpq_parameters(rows, dim)
    assert made.lists * 39 <= made.train <= rows and 39 * 2**made.bits <= made.train
    assert made.padded % made.codes == 0 and 0 <= made.padded - dim < made.padded // made.codes <= 8
    assert 39 * 2**made.bits <= made.train_codes <= made.train
