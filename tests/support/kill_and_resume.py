"""Trains in children that are killed (SIGKILL) at random moments and started again: ``kill_and_resume.py DATA OUT``.

Everything heavy is imported once; each attempt is a fork, so that a kill costs a second. Prints a line of JSON per run:
its name, how many attempts were killed, and how many went on from a checkpoint.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.action.train import train
from specvid.pipelines.engine.config import EngineConfig, NetConfig

torch.set_num_threads(1)


def config(data: str, out: str, name: str, workers: int) -> ActionConfig:
    """With all that has a state: dropout, mixup, moving average, momentum, batch norm, schedule, an epoch half done."""
    return ActionConfig(
        name=name,
        runs=out,
        resume="auto",
        mixup=0.3,
        clips=ActionClipsConfig(
            data=data, frames=4, stride=1, size=16, resize=20, val_fraction=0.3, jitter=0.2, erase=0.3
        ),
        net=NetConfig(model="r3d_tiny", blocks="snl@layer2.-1", dropout=0.3),
        train=EngineConfig(
            epochs=3,
            batch_size=4,
            accumulate=2,
            lr=0.01,
            schedule="onecycle",
            ema=0.9,
            save_every=1,
            workers=workers,
            device="cpu",
            tensorboard=False,
        ),
    )


def attempt(settings: ActionConfig) -> int:
    """Starts the training in a child; returns its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        train(settings)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run_with_kills(settings: ActionConfig, kills: int, longest: float, rng: random.Random) -> int:
    """Kills ``kills`` attempts, each within ``longest`` seconds, then lets one finish; returns how many were killed."""
    died = 0
    for number in range(kills + 1):
        child = attempt(settings)
        if number < kills:
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            died += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit(f"attempt {number} of {settings.name} failed")
    return died


def main() -> None:
    data, out = sys.argv[1:]
    rng = random.Random(os.environ.get("KILL_SEED", 0))
    started = time.perf_counter()
    run_with_kills(config(data, out, "whole", workers=0), 0, 0, rng)
    longest = time.perf_counter() - started
    for workers, kills in ((0, 4), (2, 3)):
        name = f"killed{workers}"
        died = run_with_kills(config(data, out, name, workers), kills, longest, rng)
        lines = (Path(out) / name / "log.txt").read_text().count("continued from step")
        print(json.dumps({"name": name, "died": died, "continued": lines}), flush=True)


if __name__ == "__main__":
    main()
