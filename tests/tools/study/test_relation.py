"""The study of the relation set: what is seen is learned from the source's actions, and one table compares blocks."""

import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from trained_norms import randomise_norms

import specvid
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic.relation import synthesize_relation
from specvid.datasets.synthetic.ucf101 import synthesize_ucf101
from specvid.models.weights import save_weights
from specvid.pipelines.engine.block_use import strengths
from specvid.tools.study import relation
from specvid.tools.study.relation import RELATED, SEEN, Films, Relate, actions_of, learn_to_see, main, train_and_score


def _films(scenes: int, seed: int) -> Films:
    """Maps in which each action is a direction, shown in one corner in either half."""
    rng = torch.Generator().manual_seed(seed)
    maps, labels, actions = [], [], []
    for _ in range(scenes):
        pair = torch.randperm(4, generator=rng)[:2]
        for a in pair:
            for b in pair:
                x = 0.1 * torch.randn(8, 4, 4, 4, generator=rng)
                x[a, :2, :2, :2] += 2
                x[b, 2:, 2:, 2:] += 2
                maps.append(x)
                labels.append(int(a == b))
                actions.append((int(a), int(b)))
    return Films(torch.stack(maps), torch.tensor(labels), torch.tensor(actions))


def test_a_block_relates_and_a_local_network_cannot() -> None:
    options = Namespace(epochs=12, lr=5e-3)
    train, test, known = learn_to_see(_films(64, 0), _films(25, 1), 0)
    found = {arm: train_and_score(arm, 0, train, test, options) for arm in ("bare", "snl", "nl")}
    assert known == 1
    assert found["snl"]["top1"] > 0.95 and found["nl"]["top1"] > 0.95
    assert found["bare"]["top1"] <= 0.75  # of no scene more than three films
    assert found["bare"]["share"] is found["bare"]["gate"] is None and found["snl"]["share"] > 0.01


def test_what_is_seen_is_of_its_seed() -> None:
    films = _films(16, 0)
    first, again, other = (learn_to_see(films, films, seed)[0].maps_ncthw for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (len(films.labels), SEEN, 4, 4, 4) and not first.requires_grad


def test_the_block_stands_before_the_last_layer() -> None:
    bare, block = Relate(""), Relate("snl(gate=0.5)")
    assert len(list(strengths(block))) == 1 and not list(strengths(bare))
    assert {name for name, _ in block.named_parameters()} > {name for name, _ in bare.named_parameters()}
    assert block.layer[0].weight.shape[:2] == (RELATED, SEEN)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("relation")
    source = synthesize_ucf101(folder / "source", scenes=1).root
    return synthesize_relation(folder / "films", from_=source, scenes=8, size=64, tile=32).root


def test_the_verb_measures_once(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(relation, "SIZE", 64)
    monkeypatch.setattr(relation, "BATCH", 8)
    model = specvid.create_model("mobilenet_v2", num_classes=5)
    randomise_norms(model)
    save_weights(model, tmp_path / "m.safetensors")
    words = [
        "--data",
        str(films),
        "--weights",
        str(tmp_path / "m.safetensors"),
        "--out",
        str(tmp_path / "new/rows.csv"),
    ]
    words += ["--seeds", "1", "--epochs", "1"]
    for arms in (["bare"], ["bare", "gc"]):
        assert main([*words, "--arms", *arms]) == 0
    rows = (tmp_path / "new/rows.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["arm", "bare", "gc"]
    table = capsys.readouterr().out
    assert "| gc    | 1     |" in table
    words += ["--arms", "bare", "gc"]
    file = tmp_path / "new/rows.csv"
    whole = file.read_text()
    file.write_text(whole[:-12])  # as a kill leaves it
    assert main(words) == 0
    assert capsys.readouterr().out == "".join(table.splitlines(keepends=True)[-4:])
    assert file.read_text().splitlines()[:2] == whole.splitlines()[:2] and file.read_text().endswith("\n")
    _check_others(words, films, file, capsys)


def _check_others(words: list[str], films: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows and maps of other settings are refused."""
    other = {"epochs": "999", "weights": str(file.with_name("other.safetensors")), "data": str(file.with_name("films"))}
    save_weights(specvid.create_model("mobilenet_v2"), other["weights"])
    shutil.copytree(films, other["data"])
    film = next(Path(other["data"]).rglob("*.mp4"))
    film.write_bytes(film.read_bytes() + b"0")
    for name, value in other.items():
        assert main([*words, f"--{name}", value]) == 2
        assert f"rows.csv has rows of other settings: {name} is " in capsys.readouterr().err
    file.unlink()  # the maps are still there
    for name in ("weights", "data"):
        assert main([*words, f"--{name}", other[name]]) == 2
        assert f"rows.safetensors has maps of other settings: {name} is " in capsys.readouterr().err


def test_the_table_says_what_clips_show(films: Path, tmp_path: Path) -> None:
    data = read_action("folders", films)
    shown = actions_of(films, data.test)
    assert shown.shape == (8, 2) and set(shown.flatten().tolist()) == {0, 1}
    labels = torch.tensor([record.label for record in data.test])
    assert torch.equal((shown[:, 0] == shown[:, 1]).long(), labels)  # Different is 0, Same 1
    with pytest.raises(ValueError, match="specvid data synthesize relation"):
        actions_of(tmp_path, data.test)
    (tmp_path / "films.csv").write_text("film,first action\na,b\n")
    with pytest.raises(ValueError, match="lacks the columns second action"):
        actions_of(tmp_path, data.test)
    (tmp_path / "films.csv").write_text("film,first action,second action\na,b,c\n")
    with pytest.raises(ValueError, match=r"films\.csv lacks the film '"):
        actions_of(tmp_path, data.test)
