"""Two and four processes: the same losses and scores as one, in any order of resuming; a dead one ends all."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lowest_versions import needs_cpu_sharding
from tiny_ucf101 import synthesize_tiny_ucf101

DRIVER = Path(__file__).parents[2] / "support" / "many_processes.py"
CLIPS = 3  # of the test part: fewer than four processes, and not divided by two

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")


@pytest.fixture(
    scope="module", params=[pytest.param((1, 2), id="2"), pytest.param((1, 2, 4), id="4", marks=pytest.mark.slow)]
)
def worlds(request) -> tuple[int, ...]:
    return request.param


@pytest.fixture(scope="module")
def folder(worlds: tuple[int, ...], tmp_path_factory) -> Path:
    """What the processes of all jobs found."""
    folder = tmp_path_factory.mktemp("many")
    data = synthesize_tiny_ucf101(folder / "data")
    tests = data / "ucfTrainTestlist/testlist01.txt"
    tests.write_text("\n".join(tests.read_text().splitlines()[::2][:CLIPS]) + "\n")
    (data / "videos" / tests.read_text().splitlines()[1]).write_bytes(b"not a video")
    command = [sys.executable, str(DRIVER), ",".join(map(str, worlds)), str(data), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def found(folder: Path, job: str) -> list[Any]:
    """What the ranks of a job found."""
    return [json.loads(path.read_text()) for path in sorted((folder / job).glob("*.json"))]


def assert_close(own: Any, one: Any, what: str = "") -> None:
    """Numbers to 1e-5, all else equal."""
    if isinstance(one, dict):
        assert own.keys() == one.keys(), what
        for name in one:
            assert_close(own[name], one[name], f"{what}.{name}")
    elif isinstance(one, list):
        assert len(own) == len(one), what
        for place, (a, b) in enumerate(zip(own, one, strict=True)):
            assert_close(a, b, f"{what}[{place}]")
    elif isinstance(one, float):
        assert own == pytest.approx(one, abs=1e-5), what
    else:
        assert own == one, what


def test_losses_and_scores_are_those_of_one_process(folder: Path, worlds: tuple[int, ...]) -> None:
    (one,) = found(folder, "action-1")
    assert [line["clips"] for line in one["lines"]] == [12, 12]
    assert all(math.isfinite(line["loss"]) and "val_top1" in line for line in one["lines"])
    for job in [f"action-{world}" for world in worlds[1:]] + ["accumulated-2", "checkpointed-2"]:
        ranks = found(folder, job)
        assert len(ranks) == int(job[-1])
        for rank in ranks:
            assert_close(rank, one, job)


def test_triplets_are_sought_over_all_processes(folder: Path, worlds: tuple[int, ...]) -> None:
    (one,) = found(folder, "triplets-1")
    assert one[0] > one[3] > 0  # the loss, and the part of the triplets
    for world in worlds[1:]:
        for rank in found(folder, f"triplets-{world}"):
            assert_close(rank, one)


def test_twins_are_correlated_over_all_processes(folder: Path, worlds: tuple[int, ...]) -> None:
    (one,) = found(folder, "twins-1")
    assert one[0] > 0 and max(map(abs, one[3][0])) > 0  # the loss, and the gradient of the network
    for world in worlds[1:]:
        for rank in found(folder, f"twins-{world}"):
            assert_close(rank, one)


def test_every_clip_is_scored_once_where_there_are_fewer_than_processes(folder: Path, worlds) -> None:
    (one,) = found(folder, "scores-1")
    assert (one["listed"], one["scored"], len(one["unreadable"])) == (CLIPS, CLIPS - 1, 1)
    for world in worlds[1:]:
        ranks = found(folder, f"scores-{world}")
        assert len(ranks) == world
        for rank in ranks:
            assert_close(rank, one)


def test_another_number_of_processes_goes_on_where_the_others_stopped(folder: Path, worlds: tuple[int, ...]) -> None:
    (one,) = found(folder, "toy-1")
    assert [(line["clips"], line["unreadable"]) for line in one["lines"]] == [(24, 1)] * 3
    pairs = [(2, 1), (1, 2)] + ([(2, 4), (4, 2)] if 4 in worlds else [])
    for before, after in pairs:
        ranks = found(folder, f"resumed-{before}-{after}")
        assert len(ranks) == after
        for rank in ranks:
            assert_close(rank, one)


def test_a_dead_process_ends_all_in_words(folder: Path, worlds: tuple[int, ...]) -> None:
    codes = json.loads((folder / "codes.json").read_text())
    assert codes == [[0] * (worlds[-1] - 1) + [3], [0] * (worlds[-1] - 1) + [-9]]
    for job in ("exited", "killed"):
        ranks = found(folder, job)
        assert len(ranks) == worlds[-1] - 1
        for rank in ranks:
            assert rank["seconds"] < 60
            assert rank["error"].startswith("another process of this job ended, so this one cannot go on: ")
            assert rank["error"].endswith("run/last holds 4 of 9 steps (1.33 epochs); --resume auto continues.")


@needs_cpu_sharding
def test_a_network_with_a_block_takes_a_step_under_fsdp(folder: Path, worlds: tuple[int, ...]) -> None:
    (one,) = found(folder, "sharded-1")
    assert one["shards"] == 0
    for world in worlds[1:]:
        for rank in found(folder, f"sharded-{world}"):
            assert rank["shards"] == len(one["weights"]) > 10
            for name, weight in one["weights"].items():
                own, expected = torch.tensor(rank["weights"][name]), torch.tensor(weight)
                torch.testing.assert_close(own, expected, rtol=0, atol=1e-9, msg=f"{name}, {world} processes")
