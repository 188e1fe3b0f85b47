"""Encoders of others on the command line: they embed, predict and train, and their runs need the checkpoint no more."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pysubs2
import pytest
import torch
from colour_films import write_film
from hub_checkpoints import CLASSES, save_clip, save_hf
from tiny_ucf101 import synthesize_tiny_ucf101
from torch.nn import functional as F

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


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    pytest.importorskip("open_clip", reason="pip install 'specvid[hf]'")
    folder = tmp_path_factory.mktemp("clip")
    return folder, save_clip("vit", folder)


def tokens(folder: Path, *texts: str) -> torch.Tensor:
    import open_clip

    return open_clip.get_tokenizer(f"local-dir:{folder}")(list(texts))


def test_words_search_a_set(clip: tuple[Path, Any], film: Path, tmp_path: Path, capsys) -> None:
    """Scores are cosines of open_clip's own vectors."""
    folder, network = clip
    out, words = tmp_path / "emb", "someone opens a door"
    spans = ["--window", "sliding", "--length", "10", "--every", "10"]
    assert cli.run(["embed", str(film), "--model", f"clip:{folder}", *spans, "--out", str(out), *HERE]) == 0
    capsys.readouterr()
    assert cli.run(["search", "query", str(out), "--text", words, "-k", "3", "--json", "--device", "cpu"]) == 0
    answers = json.loads(capsys.readouterr().out)
    rows = {row["first_frame"]: row["embedding"] for row in pq.read_table(out / "embeddings").to_pylist()}
    text = network.encode_text(tokens(folder, words), normalize=True)[0].detach()
    cosines = {first: float(F.normalize(torch.tensor(vector), dim=0) @ text) for first, vector in rows.items()}
    best = sorted(cosines, key=lambda first: -cosines[first])[:3]
    assert [answer["columns"]["first_frame"] for answer in answers] == best
    assert [answer["score"] for answer in answers] == pytest.approx([cosines[first] for first in best], abs=1e-5)
    assert len(rows) == 4
    assert cli.run(["search", "query", str(out), "--text", words, str(film)]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_words_need_a_text_tower(checkpoint: Path, film: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "emb"
    assert cli.run(["embed", str(film), "--model", f"hf:{checkpoint}", "--out", str(out), *HERE]) == 0
    capsys.readouterr()
    assert cli.run(["search", "query", str(out), "--text", "surfing", "--device", "cpu"]) == 2
    message = capsys.readouterr().err
    assert "'hf:videomae' has no text tower, so it knows no words" in message and len(message.splitlines()) == 1


def test_classes_in_words(clip: tuple[Path, Any], film: Path, capsys) -> None:
    """Probabilities are the softmax of open_clip's own logits, of the mean of its vectors of the frames."""
    folder, network = clip
    names = ["surfing", "push-ups", "crawling"]
    model = ["--model", f"clip:{folder}", "--classes", ", ".join(names), "--prompt", "a film of {}, outdoors"]
    assert cli.run(["predict", str(film), *model, "--clips", "1", "--stride", "2", "--json", *HERE]) == 0
    found = dict(json.loads(capsys.readouterr().out)["classes"])
    plain = create_model(f"clip:{folder}", input={"stride": 2}).eval()
    with specvid.open_video(film) as video, torch.no_grad():
        first = (len(video) - 15) // 2
        clip_of_8 = plain.preprocess(video.frames(range(first, first + 16, 2)))
        image = F.normalize(network.encode_image(clip_of_8[0].transpose(0, 1)).mean(0), dim=0)
        text = network.encode_text(tokens(folder, *(f"a film of {name}, outdoors" for name in names)), normalize=True)
        wanted = (network.logit_scale.exp() * text @ image).softmax(0)
    assert [found[name] for name in names] == pytest.approx(wanted.tolist(), abs=1e-5)
    spans = ["--window", "sliding", "--length", "1s", "--every", "1s", "--merge", "--format", "srt"]
    assert cli.run(["predict", str(film), *model, *spans, *HERE]) == 0
    assert set(pysubs2.SSAFile.from_string(capsys.readouterr().out, "srt").events[0].text.split()) & set(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "r3d_tiny", "--classes", "a, b"], "'r3d_tiny' has no text tower"),
        (["--model", "clip:CLIP", "--classes", "a, a"], "each once"),
        (["--model", "clip:CLIP", "--classes", "a, b", "--prompt", "a video"], "has no {} for the name"),
        (["--model", "clip:CLIP", "--classes", "5", "--prompt", "a {}"], "belongs to --classes 'NAME"),
    ],
)
def test_mistakes_in_words(words: list[str], message: str, clip: tuple[Path, Any], film: Path, capsys) -> None:
    given = [word.replace("CLIP", str(clip[0])) for word in words]
    assert cli.run(["predict", str(film), *given, *HERE]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
