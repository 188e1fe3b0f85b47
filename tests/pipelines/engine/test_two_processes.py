"""Two processes over gloo do what one does: the same training, the same scores, every clip counted once."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_ucf101 import synthesize_tiny_ucf101
from toy_task import LENGTH, ToyTask, toy_model

from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig, ActionEvaluationConfig
from specvid.pipelines.action.evaluate import evaluate
from specvid.pipelines.action.train import train
from specvid.pipelines.engine.config import ComputeConfig, EngineConfig, NetConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder

DRIVER = Path(__file__).parents[2] / "support" / "two_processes.py"
CPU = {"device": "cpu", "precision": "fp32", "workers": 0, "tensorboard": False}
COMPUTE = ComputeConfig(device="cpu", workers=0, batch_size=4)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A data set with 5 test clips on split 1 (an odd number), a trained run, and what the two processes found."""
    folder = tmp_path_factory.mktemp("two")
    data = synthesize_tiny_ucf101(folder / "data")
    tests = data / "ucfTrainTestlist/testlist01.txt"
    tests.write_text("\n".join(tests.read_text().splitlines()[:5]) + "\n")
    (data / "videos" / tests.read_text().splitlines()[2]).write_bytes(b"not a video")
    train(
        ActionConfig(
            name="one",
            runs=str(folder),
            clips=ActionClipsConfig(data=str(data), frames=4, stride=1, size=16, resize=20),
            net=NetConfig(model="r3d_tiny", blocks="snl@layer2.-1"),
            train=EngineConfig(epochs=2, batch_size=6, lr=0.01, **CPU),
        )
    )
    command = [sys.executable, str(DRIVER), str(data), str(folder / "one"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def found(folder: Path) -> list[dict]:
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def test_training_is_that_of_one_process(folder: Path, found: list[dict], tmp_path: Path) -> None:
    config = EngineConfig(epochs=2, batch_size=8, lr=0.05, clip_norm=0.5, **CPU)
    alone = fit(make_fabric(config), toy_model(norm=False, dropout=0), ToyTask(config), config, RunFolder(tmp_path))
    assert [rank["world"] for rank in found] == [2, 2]
    for name, tensor in alone.state_dict().items():
        for rank in found:
            torch.testing.assert_close(torch.tensor(rank["toy"][name]), tensor, rtol=1e-4, atol=1e-6)
    first, second = ([index for batch in rank["seen"][:3] for index in batch] for rank in found)
    assert sorted([*first, *second]) == list(range(LENGTH))  # an epoch: each clip once, in one of the processes


def test_an_epochs_line_is_of_all_processes(folder: Path, tmp_path: Path) -> None:
    config = EngineConfig(epochs=2, batch_size=8, lr=0.05, clip_norm=0.5, **CPU)
    fit(make_fabric(config), toy_model(norm=False, dropout=0), ToyTask(config), config, RunFolder(tmp_path))
    for pair, alone in zip(RunFolder(folder / "toy").lines(), RunFolder(tmp_path).lines(), strict=True):
        assert (pair["clips"], pair["unreadable"]) == (LENGTH, 1)
        assert pair["unreadable_files"] == ["point3: unreadable"]
        assert pair["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert pair["accuracy"] == pytest.approx(alone["accuracy"])


def test_every_clip_is_counted_once(folder: Path, found: list[dict]) -> None:
    pair_csv = rows(folder / "one/eval/split1-last-2x3/clips.csv")
    alone = evaluate(
        [folder / "one"], ActionEvaluationConfig(clips=2, crops=3), compute=COMPUTE, echo=lambda text: None
    )
    alone_csv = rows(folder / "one/eval/split1-last-2x3/clips.csv")
    (entry,) = alone["evaluations"]
    assert [rank["evaluation"] for rank in found] == [entry, entry]
    assert (entry["listed"], entry["scored"], len(entry["unreadable"])) == (5, 4, 1)
    assert len(pair_csv) == 5
    for pair, one in zip(pair_csv, alone_csv, strict=True):
        assert {name: pair[name] for name in ("clip", "class", "predicted", "correct", "error")} == {
            name: one[name] for name in ("clip", "class", "predicted", "correct", "error")
        }
        if not one["error"]:
            assert float(pair["p_predicted"]) == pytest.approx(float(one["p_predicted"]), abs=2e-6)


def test_padding_is_an_error_and_not_a_small_bias(found: list[dict]) -> None:
    for rank in found:
        assert rank["rows"] == [index * index for index in range(7)]
        assert "Evaluation saw 9 rows (7 distinct) of 7" in rank["padded"]
        assert rank["sums"] == [2.0, 1.0]


def test_all_processes_score_with_rank_0s_batch_norm(found: list[dict]) -> None:
    assert [rank["buffers"] for rank in found] == [[0.0, 0.0], [0.0, 0.0]]
    # The moving average too, of whose statistics each process had its own.
    assert found[0]["averaged"] == found[1]["averaged"]


def test_a_run_trains_in_two_processes_and_a_refusal_reaches_both(folder: Path, found: list[dict]) -> None:
    assert found[0]["pair"] == found[1]["pair"]
    assert found[0]["pair"]["listed"] == 5
    lines = RunFolder(folder / "pair").lines()
    assert [line["epoch"] for line in lines] == [0, 1]
    assert all("val_top1" in line for line in lines)
    for rank in found:
        assert "exists already. Continue it with --resume auto" in rank["again"]


def rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
