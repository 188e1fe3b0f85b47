"""The benchmarks of embedding and search run, and measure what they say."""

from pathlib import Path

import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.cli import run as command
from specvid.tools.bench.embed import bench_embed, bench_memory
from specvid.tools.bench.search import bench_search


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(synthesize_tiny_ucf101(tmp_path_factory.mktemp("data"), clips=1) / "videos")


def test_the_job_is_measured_against_its_halves(videos: str, capsys) -> None:
    row = bench_embed([videos], model="r3d_tiny", count=12, rounds=2)
    assert row.videos == 12 and min(row.decoding, row.network, row.job) > 0
    assert 0.05 < row.ratio < 2 and 0.05 < row.cpu_ratio < 1.2
    words = ["bench", "embed", videos, "--model", "r3d_tiny", "--count", "4", "--rounds", "1"]
    assert command(words) == 0
    assert "to the slower one" in capsys.readouterr().out


def test_what_is_no_video_is_not_measured(videos: str, tmp_path: Path) -> None:
    (tmp_path / "notes.avi").write_text("no video")
    with pytest.raises(ValueError, match=r"notes\.avi: .*Give videos that can all be read"):
        bench_embed([str(tmp_path / "notes.avi")], model="r3d_tiny", count=1, rounds=1)


def test_memory_is_flat(videos: str) -> None:
    held = bench_memory([videos], count=240, workers=0)
    assert len(held) == 10 and held[-1] < held[2] + 30  # MiB


def test_indexes_are_built_and_asked(tmp_path: Path) -> None:
    found = bench_search(3000, 32, queries=20)
    assert [row.kind for row in found] == ["flat", "hnsw", "ivfpq"]
    assert found[0].recall == 1 and all(row.recall >= 0.9 and row.query > 0 and row.mebibytes > 0.3 for row in found)


def test_fewer_vectors_than_a_query_asks_for_are_refused() -> None:
    with pytest.raises(ValueError, match="rows=5 are fewer than the 10"):
        bench_search(5, 8, kinds=("flat",))
