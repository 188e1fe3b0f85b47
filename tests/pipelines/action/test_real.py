"""The original Xvid files of UCF-101: trained, scored and named, through the command line."""

import json
from pathlib import Path

import pytest
from shared_data import shared

from specvid import cli


@pytest.mark.slow
@pytest.mark.data
def test_original_files_train_score_and_are_named(tmp_path: Path, capsys) -> None:
    data = shared("data/ucf101-raw")
    clip = "--frames 4 --stride 2 --size 32 --resize 36 --batch-size 6 --workers 0 --device cpu --no-tensorboard"
    where = ["--data", str(data), "--runs", str(tmp_path), "--name", "raw"]
    net = ["--model", "r3d_tiny", "--blocks", "snl@layer2.-1"]
    assert cli.run(["train", "action", *where, *net, "--epochs", "1", *clip.split()]) == 0
    (line,) = map(json.loads, (tmp_path / "raw/metrics.jsonl").read_text().splitlines())
    assert (line["unreadable"], line["repeated"]) == (0, 0)

    scoring = "--clips 2 --crops 3 --workers 0 --device cpu"
    assert cli.run(["eval", "action", "--run", str(tmp_path / "raw"), *scoring.split()]) == 0
    tested = len((data / "ucfTrainTestlist/testlist01.txt").read_text().split())
    assert f"bilinear, {tested} of {tested} clips scored, 0 unreadable" in capsys.readouterr().out

    video = min((data / "videos").glob("*/*.avi"))
    words = [str(video), "--run", str(tmp_path / "raw"), "--json", "--clips", "1", "--workers", "0", "--device", "cpu"]
    assert cli.run(["predict", *words]) == 0
    named = json.loads(capsys.readouterr().out)
    assert (named["error"], sum(share for _, share in named["classes"])) == ("", pytest.approx(1, abs=1e-6))
