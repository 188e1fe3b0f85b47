"""A synthetic video of one hour: decoded as a stream, in the memory of a shorter one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_videos import numbered_frame, write_video

SCRIPT = """
import json, resource, sys
from specvid.pipelines.embed import EmbedConfig, JobConfig, WindowConfig, embed
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
config = EmbedConfig(
    NetworkConfig(model="r3d_tiny"),
    input=InputConfig(frames=8, stride=8),
    windows=WindowConfig(window="sliding", length="10s", every="10s"),
    job=JobConfig(device="cpu", workers=1),
)
outcome = embed([sys.argv[1]], sys.argv[2], config)
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"rows": outcome.rows, "failed": outcome.failed, "peaks": peaks}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["long.mp4", "long.avi"])
def test_an_hour_takes_the_memory_of_ten_minutes(tmp_path: Path, kind: str) -> None:
    found = {}
    for name, seconds in (("minutes", 600), ("hour", 3600)):
        path = write_video(tmp_path / f"{name}_{kind}", (numbered_frame(n % 4096) for n in range(25 * seconds)))
        command = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / name)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found[name] = json.loads(done.stdout)
    assert (found["minutes"]["rows"], found["hour"]["rows"]) == (60, 360) and not found["hour"]["failed"]
    for minutes, hour in zip(found["minutes"]["peaks"], found["hour"]["peaks"], strict=True):
        assert hour < minutes + 150  # MiB; the frames of an hour would be 1.6 GiB
