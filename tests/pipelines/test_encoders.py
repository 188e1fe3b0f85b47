"""Encoders of others on the command line: they embed, predict and train, and their runs need the checkpoint no more."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from colour_films import write_film
from hub_checkpoints import CLASSES, save_hf
from tiny_ucf101 import synthesize_tiny_ucf101

import specvid
from specvid import cli, create_model

pytest.importorskip("transformers", reason="pip install 'specvid[hf]'")
HERE = ["--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videomae")
    save_hf("videomae", folder)
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", 40, [("Red", 10, 20)])


def test_a_checkpoint_embeds_and_answers(checkpoint: Path, film: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "emb"
    assert cli.run(["embed", str(film), "--model", f"hf:{checkpoint}", "--stride", "2", "--out", str(out), *HERE]) == 0
    assert "random" not in capsys.readouterr().err
    (row,) = pq.read_table(out / "embeddings").to_pylist()
    model = create_model(f"hf:{checkpoint}", input={"stride": 2}).eval()
    torch.testing.assert_close(torch.tensor(row["embedding"]), model.embed_video(film), rtol=1e-4, atol=1e-5)
    same = shutil.copy(film, tmp_path / "same.mp4")
    capsys.readouterr()
    assert cli.run(["search", "query", str(out), str(same), "--json", "--device", "cpu"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["score"] == pytest.approx(1.0, abs=1e-5)


def test_its_own_classifier_names_classes(checkpoint: Path, film: Path, capsys) -> None:
    words = ["predict", str(film), "--model", f"hf:{checkpoint}", "--stride", "2", "--json", *HERE]
    assert cli.run(words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    model = create_model(f"hf:{checkpoint}", num_classes=3, input={"stride": 2}).eval()
    wanted = model.predict(film)
    found = json.loads(line)["classes"]
    assert [name for name, _ in found] == [name for name, _ in wanted] and {name for name, _ in found} == {
        *CLASSES.values()
    }
    assert [share for _, share in found] == pytest.approx([share for _, share in wanted], abs=1e-5)
    assert cli.run([*words, "--classes", "5"]) == 2
    assert "(3, 24) in the checkpoint, (5, 24) in the model" in capsys.readouterr().err


def test_a_run_needs_the_checkpoint_no_more(checkpoint: Path, film: Path, tmp_path: Path, capsys) -> None:
    synthesize_tiny_ucf101(tmp_path / "data", groups=4, clips=1)
    own = tmp_path / "own"
    shutil.copytree(checkpoint, own)
    quick = ["--recipe", "probe", "--stride", "1", "--batch-size", "6", "--epochs", "1", "--no-tensorboard", "--runs"]
    train = ["train", "action", "--data", str(tmp_path / "data"), "--model", f"hf:{own}", "--blocks", "snl@layers.1"]
    assert cli.run([*train, *quick, str(tmp_path / "runs"), "--name", "a", *HERE]) == 0
    shutil.rmtree(own)
    assert cli.run(["predict", str(film), "--run", str(tmp_path / "runs/a"), *HERE]) == 0
    trained, start = specvid.load(tmp_path / "runs/a"), create_model(f"hf:{checkpoint}").eval()
    assert trained.config["name"] == "hf:videomae"
    states = trained.backbone.state_dict(), start.backbone.state_dict()
    assert all(torch.equal(states[0][name], one) for name, one in states[1].items())  # a probe: it stood still
