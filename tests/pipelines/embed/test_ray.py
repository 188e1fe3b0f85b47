"""The same shards from actors of a local Ray."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.pipelines.embed import EmbedConfig, JobConfig, OutputConfig, embed
from specvid.pipelines.networks.config import NetworkConfig


@pytest.mark.slow
def test_ray_gives_the_bytes_of_the_local_engine(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra specvid[ray] is not installed")
    videos = synthesize_tiny_ucf101(tmp_path / "data", clips=1) / "videos"
    (videos / "bad.mp4").write_bytes(b"")
    network, output = NetworkConfig(model="r3d_tiny"), OutputConfig(shard_size=3)
    lines: list[str] = []
    for engine in ("local", "ray"):
        job = JobConfig(engine=engine, actors=2, workers=0, device="cpu")
        outcome = embed([videos], tmp_path / engine, EmbedConfig(network, output=output, job=job), echo=lines.append)
        assert (outcome.done, outcome.failed, outcome.rows) == (13, 1, 12)
    assert any("5 of 5 shards" in line for line in lines) and sum("is empty" in line for line in lines) == 2
    ours, theirs = (
        {str(path.relative_to(tmp_path / engine)): path.read_bytes() for path in (tmp_path / engine).rglob("*.parquet")}
        for engine in ("local", "ray")
    )
    assert ours == theirs and len(ours) == 9


def test_without_ray_it_says_how_to_install_it(tmp_path: Path, monkeypatch) -> None:
    videos = synthesize_tiny_ucf101(tmp_path / "data", clips=1) / "videos"
    monkeypatch.setitem(sys.modules, "ray", None)
    config = EmbedConfig(NetworkConfig(model="r3d_tiny"), job=JobConfig(engine="ray", device="cpu"))
    with pytest.raises(ImportError, match=r"pip install specvid\[ray\]"):
        embed([videos], tmp_path / "out", config)


def actors() -> list[int]:
    """The processes of Ray's actors."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith((b"ray::_MapWorker", b"ray::MapWorker", b"ray::EmbedShards")):
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_actor_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra specvid[ray] is not installed")
    videos = synthesize_tiny_ucf101(tmp_path / "data", clips=1) / "videos"
    network, output = NetworkConfig(model="r3d_tiny"), OutputConfig(shard_size=2)
    killed: list[int] = []

    def kill_one(line: str) -> None:
        if "shards done" in line and not killed:
            killed.extend(actors()[:1])
            for process in killed:
                os.kill(process, signal.SIGKILL)

    for engine in ("local", "ray"):
        job = JobConfig(engine=engine, actors=1, workers=0, device="cpu")
        config = EmbedConfig(network, output=output, job=job)
        outcome = embed([videos], tmp_path / engine, config, echo=kill_one if engine == "ray" else lambda line: None)
        assert (outcome.complete, outcome.failed, outcome.rows) == (True, 0, 12)
    assert len(killed) == 1
    ours, theirs = (
        {str(path.relative_to(tmp_path / engine)): path.read_bytes() for path in (tmp_path / engine).rglob("*.parquet")}
        for engine in ("local", "ray")
    )
    assert ours == theirs and len(ours) == 9
