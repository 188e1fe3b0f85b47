"""Killed at random moments, or shared by two processes, an embedding ends with the bytes of an uninterrupted one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from synthetic_videos import write_sound
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.pipelines.embed import EmbedConfig, JobConfig, launch
from specvid.pipelines.embed.job import Job
from specvid.pipelines.engine.processes import Processes
from specvid.pipelines.networks.config import InputConfig, NetworkConfig

DRIVER = Path(__file__).parents[2] / "support" / "embed_driver.py"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "ucf") / "videos"
    write_sound(folder / "Green" / "sound.avi")
    (folder / "Red" / "empty.avi").write_bytes(b"")
    return folder


def drive(what: str, videos: Path, out: Path) -> dict:
    command = [sys.executable, str(DRIVER), what, str(videos), str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_killed_and_restarted_it_is_bit_for_bit_the_same(videos: Path, tmp_path: Path) -> None:
    found = drive("kill", videos, tmp_path)
    assert found["died"] >= 20
    assert found["half_way"] >= 3  # when some of its shards stood and others did not
    whole = files(tmp_path / "whole")
    assert sum(name.startswith("embeddings/") for name in whole) == 13
    for name in found["folders"]:
        killed = files(tmp_path / name)
        assert killed.keys() == whole.keys()
        assert [path for path in whole if whole[path] != killed[path]] == []
    errors = pq.read_table(tmp_path / "whole" / "errors.parquet").to_pylist()
    assert [Path(row["path"]).name for row in errors] == ["sound.avi", "empty.avi"]


def test_two_processes_share_the_work(videos: Path, tmp_path: Path) -> None:
    found = drive("pair", videos, tmp_path)
    assert found["statuses0"] == found["statuses1"] == [0, 0]
    assert [rank["done"] for rank in found["ranks0"]] == [17, 9]  # shards 0 and 2; shard 1
    assert any(rank["complete"] for rank in found["ranks0"])
    assert all(rank["failed"] == 2 for rank in found["ranks0"] if rank["complete"])
    assert [rank["done"] for rank in found["ranks1"]] == [0, 0]  # nothing was missing
    assert files(tmp_path / "pair") == files(tmp_path / "alone")


def test_processes_that_finish_at_the_same_time_leave_each_others_files(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = InputConfig(frames=4, size=16, resize=16)
    settings = EmbedConfig(NetworkConfig(model="r3d_tiny"), input=small, job=JobConfig(device="cpu"))
    launch.embed([videos / "Green" / "v_Green_g01_c01.avi"], tmp_path / "a", settings)
    job, other = (Job.open(tmp_path / "a", settings, Processes()) for _ in range(2))
    write = job.folder.write

    def meanwhile(target: Path, writer: Callable[[Path], object]) -> None:
        def slowly(path: Path) -> None:
            writer(path)
            with monkeypatch.context() as another:  # between the writing and the rename
                another.setattr(os, "getpid", lambda: 1)
                launch.finish(other, 0, 0, 1.0, is_alone=False)

        write(target, slowly)

    job.folder.write = meanwhile  # type: ignore[method-assign]
    assert launch.finish(job, 0, 0, 1.0, is_alone=False).complete
    assert pq.read_table(job.folder.errors).num_rows == 0
