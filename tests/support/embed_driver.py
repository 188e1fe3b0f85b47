"""Embeds in child processes: killed at random moments, or two at once as torchrun starts them.

``python embed_driver.py kill VIDEOS OUT`` or ``... pair VIDEOS OUT``. Everything heavy is imported once; each attempt
is a fork, so that dozens of kills take seconds. Prints one line of JSON.
"""

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet
import torch

from specvid.pipelines.embed import EmbedConfig, JobConfig, OutputConfig, WindowConfig, launch
from specvid.pipelines.networks.config import NetworkConfig

KILLS = 20


def config(workers: int = 0, shard_size: int = 2) -> EmbedConfig:
    return EmbedConfig(
        NetworkConfig(model="r3d_tiny"),
        windows=WindowConfig(window="sliding", length="4", every="2"),
        output=OutputConfig(shard_size=shard_size, npz=True),
        job=JobConfig(workers=workers, device="cpu", batch_size=2),
    )


def start(videos: str, out: Path, settings: EmbedConfig, environment: Mapping[str, object] | None = None) -> int:
    """Starts an embedding in a child; returns its process id. Its outcome goes to ``OUT.RANK.json``."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)  # its decoding processes die with it
        os.environ.update({name: str(value) for name, value in (environment or {}).items()})
        outcome = launch.embed([videos], out, settings)
        found = {"done": outcome.done, "failed": outcome.failed, "complete": outcome.complete, "line": outcome.line()}
        out.with_suffix(f".{os.environ.get('RANK', 0)}.json").write_text(json.dumps(found))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def kill(videos: str, out: Path) -> dict:
    """Kills embeddings until ``KILLS`` have died; each folder is finished at last, and followed by a new one."""
    rng = random.Random(int(os.environ.get("KILL_SEED", "0")))
    begun = time.perf_counter()
    os.waitpid(start(videos, out / "whole", config()), 0)
    longest = time.perf_counter() - begun
    found: dict = {"died": 0, "half_way": 0, "folders": []}
    while found["died"] < KILLS:
        name, workers = f"killed{len(found['folders'])}", 2 * (len(found["folders"]) % 2)
        found["folders"].append(name)
        finished = False
        while not finished:
            child = start(videos, out / name, config(workers))
            if found["died"] < KILLS:
                time.sleep(rng.uniform(0, longest))
                with contextlib.suppress(ProcessLookupError):  # it is through, or its group is not made yet
                    os.kill(child, signal.SIGKILL)
                    os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            finished = status == 0
            if os.WIFSIGNALED(status):
                found["died"] += 1
                found["half_way"] += 0 < len(list((out / name / "embeddings").glob("part-*"))) < 13
            elif not finished:
                raise SystemExit(f"{name} failed")
    return found


def pair(videos: str, out: Path) -> dict:
    """Two processes share an embedding of three shards, and one of none that is missing."""
    found: dict = {}
    for attempt in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": 2}
        settings = config(shard_size=9)
        children = [
            start(videos, out / "pair", settings, {**address, "RANK": rank, "LOCAL_RANK": rank}) for rank in range(2)
        ]
        statuses = [os.waitpid(child, 0)[1] for child in children]
        found[f"statuses{attempt}"] = statuses
        found[f"ranks{attempt}"] = [json.loads((out / f"pair.{rank}.json").read_text()) for rank in range(2)]
    os.waitpid(start(videos, out / "alone", config(shard_size=9)), 0)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert pyarrow.parquet  # imported before the first fork
    what, videos, out = sys.argv[1:]
    print(json.dumps({"kill": kill, "pair": pair}[what](videos, Path(out))), flush=True)
