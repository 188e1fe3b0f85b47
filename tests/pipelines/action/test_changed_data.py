"""Own data that change after a training: clips are added, moved to another part, and classes come and go."""

import shutil
from pathlib import Path

import pytest
from tiny_ucf101 import COLOURS, synthesize_tiny_ucf101

from specvid import cli
from specvid.datasets.layouts.action_set import VideoRecord, hold_out
from specvid.datasets.layouts.registry import read_action
from specvid.pipelines.engine.listing import load_listing
from specvid.pipelines.engine.run import RunFolder

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 4 --workers 0 --device cpu --no-tensorboard"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Folders of classes with six clips each, of one colour; six more of each lie in ``later``."""
    data = read_action("ucf101", synthesize_tiny_ucf101(tmp_path / "tiny"))
    for label, name in enumerate(data.classes):
        own = [record.path for record in data.records if record.label == label]
        for number in range(12):
            target = tmp_path / ("clips" if number < 6 else "later") / name / f"{'abcdefghijkl'[number]}.avi"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(own[number % len(own)], target)
    return tmp_path / "clips"


def train(clips: Path, words: str, *, parts: str = "--test-fraction 0.3 --val-fraction 0.3") -> int:
    model = f"--model r3d_tiny --data {clips} --dataset folders --runs {clips.parent / 'runs'} {parts}"
    return cli.run(["train", "action", *model.split(), *QUICK.split(), "--name", "own", *words.split()])


def evaluate(run: RunFolder, words: str = "") -> int:
    own = f"eval action --run {run.path} --clips 1 --device cpu --workers 0"
    return cli.run([*own.split(), *words.split()])


def add_later(clips: Path) -> None:
    shutil.copytree(clips.parent / "later", clips, dirs_exist_ok=True)


def clips_of_test(run: RunFolder) -> set[str]:
    (folder,) = (run.path / "eval").iterdir()
    return {line.split(",")[0] for line in (folder / "clips.csv").read_text().splitlines()[1:]}


def test_a_run_keeps_its_lists(clips: Path) -> None:
    assert train(clips, "--epochs 1") == 0
    kept = load_listing(clips.parent / "runs/own")
    assert kept is not None and list(kept.classes) == sorted(COLOURS)
    assert [len(kept.parts[part]) for part in ("train", "validation", "test")] == [9, 3, 6]
    assert all(about == {"label": name.split("/")[0]} for own in kept.parts.values() for name, about in own.items())


def test_clips_that_are_added_do_not_bring_trained_ones_into_the_test(clips: Path, capsys) -> None:
    for name in ("own", "other"):
        assert train(clips, f"--epochs 1 --name {name}") == 0
    run = RunFolder(clips.parent / "runs/own")
    kept, before = load_listing(run.path), clips_of_test(run)
    assert kept is not None
    add_later(clips)
    drawn = read_action("folders", clips, test_fraction=0.3)
    assert kept.learned & {record.name for record in drawn.test}  # by the draw alone
    assert evaluate(run) == 0
    entry = run.results()["evaluations"][0]
    after = clips_of_test(run)
    assert before < after and not after & kept.learned and entry["trained_on"] == 0
    assert entry["listed"] == len(after)
    assert "NOT HONEST" not in capsys.readouterr().out
    both = f"--run {run.path} {run.path.parent / 'other'} --fuse mean --out {clips.parent / 'fused'}"
    assert evaluate(run, both) == 0
    assert f"{len(after)} of {len(after)} clips scored" in capsys.readouterr().out.partition("mean of 2 runs")[2]


def test_a_training_is_not_continued_with_other_clips(clips: Path, capsys) -> None:
    assert train(clips, "--epochs 3 --max-steps 2") == 0
    add_later(clips)
    assert train(clips, "--epochs 3 --resume auto") == 2
    said = capsys.readouterr().err
    assert "was started with other clips in the train part" in said and " more, e.g. " in said
    assert "train on from its weights in a run of its own: specvid train action --config" in said


def test_trained_on_from_its_weights_a_run_keeps_its_test_part(clips: Path) -> None:
    """The way on that the refusal names."""
    assert train(clips, "--epochs 1") == 0
    first = RunFolder(clips.parent / "runs/own")
    add_later(clips)
    config, weights = first.path / "config.json", first.path / "last/model.safetensors"
    words = f"train action --config {config} --weights {weights} --runs {first.path.parent} --name own-2"
    assert cli.run(words.split()) == 0
    second = RunFolder(first.path.parent / "own-2")
    kept, now = load_listing(first.path), load_listing(second.path)
    assert kept is not None and now is not None
    assert kept.parts["test"].keys() < now.parts["test"].keys() and not kept.learned & now.parts["test"].keys()
    assert second.results()["evaluations"][0]["trained_on"] == 0 and not now.inherited


def test_weights_of_another_split_are_no_honest_start(clips: Path, capsys) -> None:
    data = clips.parent / "tiny"
    words = f"train action --data {data} --model r3d_tiny --runs {clips.parent / 'runs'} --epochs 1".split()
    assert cli.run([*words, *QUICK.split(), "--name", "one"]) == 0
    weights = clips.parent / "runs/one/last/model.safetensors"
    more = ["--split", "2", "--weights", str(weights), "--recipe", "finetune", "--name", "two"]
    assert cli.run([*words, *QUICK.split(), *more]) == 0
    printed = capsys.readouterr()
    assert "warning: the weights were trained on 6 of the clips to test on, e.g. " in printed.err
    assert "NOT HONEST: 6 of these clips were trained on" in printed.out
    assert evaluate(RunFolder(clips.parent / "runs/two")) == 2


def test_a_training_is_not_continued_with_other_classes(clips: Path, capsys) -> None:
    assert train(clips, "--epochs 3 --max-steps 2") == 0
    first = sorted(COLOURS)[0]
    (clips / first).rename(clips / "zebra")
    assert train(clips, "--epochs 3 --resume auto") == 2
    said = capsys.readouterr().err
    assert f"was started with the 3 classes {', '.join(sorted(COLOURS))}" in said
    assert f"(new: zebra; gone: {first})" in said


def test_a_table_whose_labels_change_does_not_continue_a_training(clips: Path, capsys) -> None:
    rows = [
        f"clips/{name}/{letter}.avi,{name},{part}"
        for name in COLOURS
        for letter, part in zip("abcd", ["train"] * 3 + ["test"], strict=True)
    ]
    table = clips.parent / "t.csv"
    table.write_text("\n".join(["path,label,set", *rows]))
    model = f"train action --data {table} --dataset table --model r3d_tiny --runs {clips.parent / 'runs'} --name t"
    words = [*model.split(), *QUICK.split(), "--epochs", "3"]
    assert cli.run([*words, "--max-steps", "1"]) == 0
    first, second = sorted(COLOURS)[:2]
    table.write_text(table.read_text().replace(f"a.avi,{first}", f"a.avi,{second}"))
    assert cli.run([*words, "--resume", "auto"]) == 2
    assert f"1 with another class or weight, e.g. clips/{first}/a.avi" in capsys.readouterr().err


def test_a_clip_that_is_moved_from_training_to_test_is_said(clips: Path, capsys) -> None:
    for part, letters in (("train", "abcd"), ("test", "ef")):
        for name in COLOURS:
            (clips / part / name).mkdir(parents=True)
            for letter in letters:
                (clips / name / f"{letter}.avi").rename(clips / part / name / f"{letter}.avi")
    for name in COLOURS:
        (clips / name).rmdir()
    assert train(clips, "--epochs 1", parts="") == 0
    run, first = RunFolder(clips.parent / "runs/own"), sorted(COLOURS)[0]
    (clips / "train" / first / "a.avi").rename(clips / "test" / first / "a.avi")
    assert evaluate(run) == 2
    said = capsys.readouterr().err
    assert f"was trained on 1 of the clips in the test part of split 1 as it is now, e.g. test/{first}/a.avi" in said
    assert evaluate(run, "--force") == 0
    assert "NOT HONEST: 1 of these clips were trained on" in capsys.readouterr().out


def test_altered_lists_of_a_run_are_named(clips: Path, capsys) -> None:
    assert train(clips, "--epochs 1") == 0
    run = RunFolder(clips.parent / "runs/own")
    (run.path / "lists.json").write_text('{"items": "clips", "classes": [1], "parts": {}}')
    assert evaluate(run) == 2
    assert "holds no lists of a training: it was altered" in capsys.readouterr().err
    (run.path / "lists.json").unlink()  # as of an older version
    assert evaluate(run) == 0


def test_a_draw_hardly_moves_as_clips_are_added() -> None:
    names = [f"{label}/{number}.mp4" for label in "ab" for number in range(20)]
    records = [VideoRecord(Path(name), name, "ab".index(name[0])) for name in names]
    few, all_ = (hold_out([r for r in records if int(r.name[2:-4]) < most], 0.2, seed=1)[1] for most in (15, 20))
    before, after = {r.name for r in few}, {r.name for r in all_}
    assert len(before) == 6 and len(after) == 8
    # The first in the order of the names' hashes: only new clips push others out.
    fresh = {name for name in after if int(name[2:-4]) >= 15}
    assert len(before - after) <= len(fresh)
    assert [r.name for r in hold_out(records, 0.2, seed=2)[1]] != [r.name for r in all_]
