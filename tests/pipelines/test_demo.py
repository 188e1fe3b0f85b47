"""The demo: quick where it stands, goes on where it was killed, and (slow) shows what it promises."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from specvid.cli import run
from specvid.config import to_dict
from specvid.pipelines.action.recipes import small as small_recipe
from specvid.pipelines.demo import demo, runs
from specvid.pipelines.demo.action import demo_action, mean_top1
from specvid.pipelines.demo.reid import demo_reid, final_score, mean_map
from specvid.pipelines.demo.report import demo_reports
from specvid.pipelines.demo.runs import BLOCK
from specvid.pipelines.demo.search import demo_search
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.recipes import tiny as tiny_recipe


def short_recipe():
    small = small_recipe()
    return dataclasses.replace(small, train=dataclasses.replace(small.train, epochs=1, workers=0, tensorboard=False))


def short_reid_recipe():
    tiny = tiny_recipe()
    return dataclasses.replace(
        tiny,
        clips=dataclasses.replace(tiny.clips, repeats=1),
        train=dataclasses.replace(tiny.train, epochs=1, workers=0, tensorboard=False),
    )


def never(commands: Mapping[str, object], **_: object) -> list[tuple[str, str]]:
    """Nothing is trained."""
    assert not commands
    return []


@pytest.fixture(scope="module")
def stands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo cut down to one scene a group and one epoch."""
    root = tmp_path_factory.mktemp("demo") / "demo"
    shown = demo_action(root, seeds=[0], recipe=short_recipe(), scenes=1)
    assert not shown  # nothing is learned in so short a time
    return root


def test_what_stands_is_only_printed(
    stands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(path.name for path in stands.iterdir()) == ["bare-seed0", "logs", "snl-seed0", "ucf101"]
    monkeypatch.setattr(runs, "run_commands", never)
    demo_action(stands, seeds=[0], recipe=short_recipe(), scenes=1)
    text = capsys.readouterr().out
    assert "Top-1 on 28 of 28 unseen clips, split 1, 1 clip x 1 crop, last epoch, seed 0." in text
    top1 = {
        name: 100 * RunFolder(stands / name).results()["evaluations"][0]["top1"] for name in ("bare-seed0", "snl-seed0")
    }
    bare, block = (line.split() for line in text.splitlines() if line.startswith("r3d_tiny"))
    assert bare == [
        "r3d_tiny,",
        "bare",
        "74,994",
        *["11", "frames", "x", "19", "x", "19", "px"],
        f"{top1['bare-seed0']:.2f}",
    ]
    assert block[:3] == ["r3d_tiny", "with", BLOCK]
    assert block[-1] == f"{top1['snl-seed0']:.2f}"
    assert "This is not what the demo is there to show" in text


def test_a_training_killed_before_its_score_goes_on(stands: Path) -> None:
    run_folder = RunFolder(stands / "snl-seed0")
    before = run_folder.results()
    (run_folder.path / "results.json").unlink()
    demo_action(stands, seeds=[0], recipe=short_recipe(), scenes=1)
    assert run_folder.results()["evaluations"] == before["evaluations"]
    assert len(run_folder.lines()) == 1  # the epoch was not done again


def test_walkers_are_trained_on_once_and_printed_with_their_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not demo_reid(tmp_path, seeds=[0], recipe=short_reid_recipe(), tracklets=6)  # learned in one step: nothing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "reid-bare-seed0", "reid-snl-seed0", "walkers"]
    before = capsys.readouterr().out.splitlines()
    monkeypatch.setattr(runs, "run_commands", never)
    demo_reid(tmp_path, seeds=[0], recipe=short_reid_recipe(), tracklets=6)
    text = capsys.readouterr().out
    assert "24 of 24 queries, 42 gallery tracklets, identities never trained on, protocol mars-ap" in text
    assert "This is not what the demo is there to show" in text
    bare, block = (line.split() for line in text.splitlines() if line.startswith("r3d_tiny"))
    for cells, name in ((bare, "reid-bare-seed0"), (block, "reid-snl-seed0")):
        score = final_score(RunFolder(tmp_path / name).results())
        assert cells[-3:] == [f"{100 * score['mAP']:.2f}", f"{100 * score['rank1']:.2f}", "mars-ap"]
    assert before[-4:] == text.splitlines()[-4:]


def test_unseen_clips_are_embedded_and_one_is_searched_for(stands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share = evaluate_share(stands, capsys)
    written = sorted((stands / "embeddings-snl-seed0/embeddings").iterdir())
    assert len(written) == 1
    before = written[0].stat().st_mtime_ns
    assert evaluate_share(stands, capsys) == share
    assert written[0].stat().st_mtime_ns == before  # what stands is not made again


def evaluate_share(stands: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """% of right neighbours, as printed by the demo's part; the table has three rows, none the clip asked for."""
    shown = demo_search(stands, "snl-seed0", answers=3)
    text = capsys.readouterr().out
    found = re.search(r"Embeddings of 28 unseen clips by snl-seed0: .* same class for ([\d.]+) %\.", text)
    assert found and shown == (float(found[1]) >= 90)
    assert text.count(".avi") == 4 and text.count("v_OppositeWays_g01_c01.avi") == 1
    assert "3 of 28 rows (exact)" in text
    return found[1]


def test_its_ending_is_a_page_for_each_task(stands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (page,) = demo_reports(stands)  # there are no walkers here
    assert f"To look at, in a browser:\n  {page}\n" in capsys.readouterr().out
    text, before = page.read_text(), page.stat().st_mtime_ns
    assert "bare-seed0" in text and "OppositeWays" in text and "data:image/webp;base64," in text
    demo_reports(stands)
    assert page.stat().st_mtime_ns == before  # what stands is not made again


def test_other_settings_or_other_clips_are_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[str, int, float]] = []

    def train(config):
        """As a real one, without training."""
        trained.append((config.name, config.train.seed, config.train.lr))
        folder = RunFolder(Path(config.runs) / config.name)
        assert not folder.started  # what stood there is gone
        folder.start(to_dict(config))
        entry = {
            "top1": 1.0 if config.net.blocks else 0.5,
            "scored": 4,
            "listed": 4,
            "split": 1,
            "clips": 1,
            "crops": 1,
            "checkpoint": "last",
        }
        folder.write_results({"evaluations": [entry], "training": {"parameters": 5}, "config": to_dict(config)})

    monkeypatch.setattr(runs, "train_all", lambda configs: [train(config) for config in configs])
    recipe = short_recipe()
    slower = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, lr=0.01))
    assert demo_action(tmp_path, seeds=[0], recipe=recipe, scenes=1)
    assert demo_action(tmp_path, seeds=[0], recipe=recipe, scenes=1)
    assert trained == [("bare-seed0", 0, 0.02), ("snl-seed0", 0, 0.02)]
    trained.clear()
    assert demo_action(tmp_path, seeds=[0, 1], recipe=slower, scenes=1)
    assert trained == [(f"{name}-seed{seed}", seed, 0.01) for seed in (0, 1) for name in ("bare", "snl")]
    trained.clear()
    assert demo_action(tmp_path, seeds=[0], recipe=slower, scenes=2)
    assert trained == [("bare-seed0", 0, 0.01), ("snl-seed0", 0, 0.01)]


def test_a_training_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    recipe = short_recipe()
    broken = dataclasses.replace(recipe, clips=dataclasses.replace(recipe.clips, frames=10**6))
    with pytest.raises(ValueError, match=r"training '(bare|snl)-seed0' failed: .+ \(.*/logs/\1-seed0\.txt\)"):
        demo_action(tmp_path, seeds=[0], recipe=broken, scenes=1)


def test_no_seeds_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="seeds 0 must be at least 1"):
        demo(seeds=0)
    assert run(["demo", "--seeds", "0"]) == 2
    assert "seeds 0 must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_block_makes_the_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issue's bar, with the demo's own settings, through files, loader, engine and eval: mean of 3 seeds."""
    monkeypatch.chdir(tmp_path)
    assert demo("runs/demo", seeds=3) == 0
    scores = {
        blocks: [RunFolder(f"runs/demo/{name}-seed{seed}").results() for seed in range(3)]
        for blocks, name in (("", "bare"), (BLOCK, "snl"))
    }
    assert mean_top1(scores[""]) < 0.65
    assert mean_top1(scores[BLOCK]) > 0.90
    walkers = {
        name: [RunFolder(f"runs/demo/reid-{name}-seed{seed}").results() for seed in range(3)]
        for name in ("bare", "snl")
    }
    assert mean_map(walkers["snl"]) > mean_map(walkers["bare"]) + 0.05
