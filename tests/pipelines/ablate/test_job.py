"""An ablation of two rows on synthetic tracklets: trained, stopped, gone on with, told apart."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_reid import QUICK, evaluate, synthesize_tiny_mars

from specvid import cli
from specvid.pipelines.ablate.statistics import Difference
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.train import ReidTask

QUICK_SETTINGS = QUICK.replace("--no-tensorboard", "--tensorboard false").replace("--", "").split()
SETTINGS = [f"{name}={value}" for name, value in zip(QUICK_SETTINGS[::2], QUICK_SETTINGS[1::2], strict=True)]


def words(data, runs, *more: str) -> list[str]:
    own = ["ablate", "--set", *SETTINGS, f"data={data}", "epochs=2", "--runs", str(runs)]
    usual = {"--blocks": ["snl(gate=0.5)@layer2.-1"], "--seeds": ["0", "1"], "--jobs": ["2"]}
    return own + [word for flag, values in usual.items() if flag not in more for word in (flag, *values)] + [*more]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return synthesize_tiny_mars(tmp_path_factory.mktemp("data") / "mars")


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    runs = tmp_path_factory.mktemp("ablation")
    assert cli.run(words(data, runs)) == 0
    return runs


def test_the_table_says_what_the_runs_scored(data, runs, capsys):
    assert cli.run(words(data, runs, "--table-only", "--variants", "", "--metrics", "mAP")) == 0
    text = capsys.readouterr().out
    assert "missing" not in text
    scores = {}
    for name in ("bare", "snl-gate-0.5-layer2.-1"):
        for seed in (0, 1):
            results = RunFolder(runs / f"{name}-seed{seed}").results()
            scores[name, seed] = results["evaluations"][0]["protocols"]["mars-ap"]["mAP"]
            assert len(results["training"]["blocks"]) == (name != "bare")
    pairs = [scores["snl-gate-0.5-layer2.-1", seed] - scores["bare", seed] for seed in (0, 1)]
    difference = Difference.of(pairs)
    assert f"{100 * difference.mean:+.2f} [{100 * (difference.mean - difference.half_width):+.2f}" in text
    with (runs / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["blocks"], row["seed"]) for row in rows} == {
        (b, s) for b in ("", "snl(gate=0.5)@layer2.-1") for s in "01"
    }
    for row in rows:
        name = "snl-gate-0.5-layer2.-1" if row["blocks"] else "bare"
        assert float(row["mAP"]) == pytest.approx(scores[name, int(row["seed"])], abs=1e-6)
        assert bool(row["gates"]) == bool(row["blocks"])
        assert row["recipe"] == "tiny"  # as the table says; it was empty where the model chose it


def test_a_table_of_fewer_rows_does_not_take_the_place_of_all(data, runs, capsys):
    cli.run(words(data, runs, "--table-only"))
    before = {name: (runs / name).read_bytes() for name in ("ablation.md", "ablation.csv")}
    line = words(data, runs, "--table-only")
    start = line.index("--blocks")
    capsys.readouterr()
    assert cli.run([*line[:start], *line[start + 2 :]]) == 0
    captured = capsys.readouterr()
    assert "snl" not in captured.out
    assert "not written" in captured.err
    assert "2 runs that this grid has not (snl-gate-0.5-layer2.-1-seed0" in captured.err
    assert {name: (runs / name).read_bytes() for name in before} == before


def test_a_table_with_rows_that_are_one_now_is_written_again(data, runs, tmp_path, capsys):
    """It had runs that the grid had not, for ever: an older version trained one network under two names."""
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    line = words(data, copy, "--table-only", "--variants", "", "workers=0 save-every=3")
    assert cli.run(line) == 0
    with (copy / "ablation.csv").open("a") as file:
        file.write("bare-workers-0-save-every-3-seed1,,tiny,workers=0 save-every=3,1,0.1,0.1,,,1,1\n")
    capsys.readouterr()
    assert cli.run(line) == 0
    assert "written: " in (error := capsys.readouterr().err) and "not written" not in error
    assert "save-every" not in (copy / "ablation.csv").read_text()


def test_a_partial_table_says_what_it_lacks(data, runs, tmp_path, capsys):
    """A row without a finished training was not there at all."""
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    for path in (*copy.glob("snl*"), *copy.glob("ablation.*"), copy / "bare-seed1"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert cli.run(words(data, copy, "--table-only")) == 0
    out = capsys.readouterr().out
    assert "3 of 4 trainings are missing: the table is partial." in out
    assert cli.run(words(data, copy, "--table-only", "--seeds", "0")) == 0
    assert "1 of 2 trainings is missing: the table is partial. The same command without --table-only trains it." in (
        capsys.readouterr().out
    )
    assert cli.run(words(data, copy, "--table-only")) == 0
    capsys.readouterr()
    cells = next(line for line in out.splitlines() if line.startswith("| snl")).replace(" ", "").split("|")[1:-1]
    assert cells == ["snl(gate=0.5)@layer2.-1", "tiny", "0", *["-"] * 9]
    assert (copy / "ablation.md").read_text() == out
    with (copy / "ablation.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["bare-seed0"]


def test_the_recipe_of_the_model_and_its_rates_are_said(data, tmp_path, capsys):
    """Rows of OSNet looked like plain rates, and its recipe has others."""
    blocks = ["--blocks", "snl@conv3.-1", "--seeds", "0", "--jobs", "1"]
    own = [f"data={data}", "model=osnet_x0_25", "height=64", "width=32", "epochs=1"]
    names = [setting.partition("=")[0] for setting in own]
    line = ["ablate", "--set", *(one for one in SETTINGS if one.partition("=")[0] not in names), *own, *blocks]
    assert cli.run([*line, "--runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "| snl@conv3.-1 | osnet " in out
    assert "If a row gives no rates, blocks learn 10 times, gates 100 times as fast as the rest." in out


def test_a_dry_run_lists_the_rows_and_what_is_finished(data, runs, tmp_path, capsys):
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    shutil.rmtree(copy / "bare-seed1")
    before = sorted(copy.rglob("*"))
    assert cli.run(words(data, copy, "--dry-run")) == 0
    out = capsys.readouterr().out
    assert "2 rows x 2 seeds: 4 trainings, 3 of them finished." in out
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()[2:4]]
    block = "snl(gate=0.5)@layer2.-1"
    assert cells == [["bare", "-", "tiny", "0 1", "0"], ["snl-gate-0.5-layer2.-1", block, "tiny", "0 1", "0 1"]]
    assert sorted(copy.rglob("*")) == before
    assert cli.run([*words(data, copy, "--dry-run"), "--variants", "freeze=conv9"]) == 2
    assert cli.run(words(data, copy, "--dry-run", "--table-only")) == 2
    assert "table_only and dry_run exclude each other" in capsys.readouterr().err


def test_what_is_finished_is_not_done_again(data, runs, capsys):
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/results.json")}
    assert len(before) == 4
    assert cli.run(words(data, runs)) == 0
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*/results.json")} == before
    assert "4 of them finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda line, data: [*line, "--recipes", "mobile"], "recipe: 'tiny' -> 'mobile'"),
        (lambda line, data: [word for word in line if word != "epochs=2"], "epochs: 2 -> 12"),
        (lambda line, data: [word.replace(f"data={data}", "data=elsewhere") for word in line], "data: "),
        (lambda line, data: ["lr=0.5" if word == "epochs=2" else word for word in line], "epochs: 2 -> 12; lr: "),
    ],
    ids=["recipe", "a setting that is left out", "data", "a setting more"],
)
def test_a_run_of_other_settings_is_not_taken(data, runs, capsys, change, why):
    """Runs that were finished were rows of whatever grid came later, if it did not name the settings that differ."""
    for more in ([], ["--table-only"]):
        assert cli.run([*change(words(data, runs), data), *more]) == 2
        error = capsys.readouterr().err
        assert "was trained with other settings than the grid gives it (" in error
        assert why in error


def without(path: Path, *names: str) -> None:
    """Take settings out of a config.json, as a version without them wrote it."""
    content = json.loads(path.read_text())
    for name in names:
        *parts, last = name.split(".")
        part = content
        for word in parts:
            part = part[word]
        del part[last]
    path.write_text(json.dumps(content))


def test_a_run_of_an_older_version_has_the_defaults_of_what_it_could_not_have(data, runs, tmp_path, capsys):
    """It was a row of any value of a setting that is not in its config.json."""
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    for path in copy.glob("*/config.json"):
        without(path, "clips.interpolation", "net.conv", "loss")
    assert cli.run(words(data, copy, "--table-only")) == 2  # the recipe of the runs has a loss of its own
    assert "than the grid gives it (label_smoothing: 0.1 -> 0.0)" in capsys.readouterr().err
    for path in copy.glob("*/config.json"):
        shutil.copy(runs / path.parent.name / "config.json", path)
        without(path, "clips.interpolation", "net.conv", "loss.triplet_mean")
    assert cli.run(words(data, copy, "--table-only")) == 0
    capsys.readouterr()
    line = words(data, copy, "--table-only")
    for setting, why in (
        ("interpolation=area", "interpolation: None -> 'area'"),
        ("triplet-mean=all", "triplet_mean: 'active' -> 'all'"),
        ("conv=dcd@layer2", "conv: '' -> 'dcd@layer2'"),
    ):
        assert cli.run([*line[:2], setting, *line[2:]]) == 2
        assert f"was trained with other settings than the grid gives it ({why})" in capsys.readouterr().err


def test_a_setting_that_only_the_run_knows_is_another_one(data, runs, tmp_path, capsys):
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    path = copy / "bare-seed1" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "clips": {**content["clips"], "slower": 2, "later": None}}))
    assert cli.run(words(data, copy, "--table-only")) == 2
    assert "(slower: 2 -> None)" in capsys.readouterr().err


def test_a_run_that_was_scored_again_in_another_way_keeps_its_row(data, runs, tmp_path, capsys):
    """The first entry of results.json counted; one that is made again goes to the end."""
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    assert cli.run(words(data, copy, "--table-only")) == 0
    before, text = (copy / "ablation.csv").read_bytes(), capsys.readouterr().out
    for more in ("--flip-test --all-protocols", "--test-sampling first", "--rerank", "--protocol cross-camera"):
        assert evaluate(f"--run {copy / 'bare-seed0'} {more}") == 0
    assert len(RunFolder(copy / "bare-seed0").results()["evaluations"]) == 4
    capsys.readouterr()
    assert cli.run(words(data, copy, "--table-only")) == 0
    assert capsys.readouterr().out == text
    assert (copy / "ablation.csv").read_bytes() == before
    assert "protocol mars-ap, checkpoint last, sampling all" in text
    assert cli.run(words(data, copy, "--table-only", "--protocol", "cross-camera")) == 2
    assert "bare-seed1': protocol 'cross-camera' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"sampling": "all-flip"}, "sampling: 'all' -> 'all-flip'"),
        ({"sampling": "even"}, "sampling: 'all' -> 'even'"),
        ({"interpolation": "area"}, "interpolation: 'bilinear' -> 'area'"),
        ({"rerank": "k1=20"}, "rerank: '' -> 'k1=20'"),
        ({"source": "/elsewhere"}, "source: '' -> '/elsewhere'"),
    ],
)
def test_a_run_that_is_scored_in_another_way_alone_is_refused(data, runs, tmp_path, capsys, entry, why):
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    run = RunFolder(copy / "snl-gate-0.5-layer2.-1-seed1")
    results = run.results()
    (own,) = results["evaluations"]
    run.write_results({**results, "evaluations": [{**own, **entry}]})
    assert cli.run(words(data, copy, "--table-only")) == 2
    error = capsys.readouterr().err
    assert "layer2.-1-seed1' has no score of what its row is to be scored on" in error
    assert why in error


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--metrics", "nonsense"], "metric 'nonsense' is unknown"),
        (["--protocol", "marz"], "protocol 'marz' is unknown. Did you mean 'mars'"),
        (["--blocks", "snl@layer7.-1"], "layer7"),
        (["--variants", "colour=3"], "option '--colour' of specvid train reid is unknown"),
        (["--seeds", "-1"], "from 0"),
        (["--variants", "data=elsewhere"], "elsewhere does not exist; expected the root of MARS"),
        (["--variants", "data="], "data is not given"),
        (["--variants", "", "split=7"], "MARS has one split"),
        (["--variants", "weights=nope.safetensors"], "weights 'nope.safetensors': there is no such file"),
        (["--variants", "model=r3d_tinny", "--recipes", "tiny"], "'r3d_tinny' is unknown. Did you mean 'r3d_tiny'"),
        (["--variants", "freeze=conv9"], "part of the network 'conv9' is unknown"),
        (["--variants", "lr-scale=conv9=2"], "part of the network 'conv9' is unknown"),
        (
            ["--variants", "early-stop=2"],
            "row 'bare early-stop=2': early_stop 2 needs a validation part: give --set val-fraction=0.2, or",
        ),
        (["--variants", "", "split=7"], "row 'bare split=7': "),
        (["--protocol", "cross-camera"], "are scored under mars, mars-ap, mars-noquery. Give one of these"),
        (["--variants", "wandb=true"], "Run `pip install wandb`, or leave out wandb."),
        (["--variants", "device=mps"], "device 'mps' is not usable here"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(data, tmp_path, capsys, more, why):
    assert cli.run(words(data, tmp_path / "runs", *more)) == 2
    error = capsys.readouterr().err
    assert why in error
    assert len([line for line in error.splitlines() if not line.startswith("checking ")]) == 1
    assert not (tmp_path / "runs").exists()


def spoil(runs: Path, *names: str) -> None:
    """Let trainings fail where nothing is seen of it before: a link in their folders leads out of them."""
    for name in names:
        (runs / name).mkdir(parents=True)
        (runs / name / "last").symlink_to(runs.parent)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_a_started_run_of_other_settings_is_said_before_anything_is_trained(data, runs, tmp_path, capsys, seed, more):
    """Only finished runs were compared; each training failed, and advised a --name, which `ablate` has not."""
    started = runs / f"snl-gate-0.5-layer2.-1-seed{seed}"
    shutil.copytree(started, tmp_path / started.name)
    (tmp_path / started.name / "results.json").unlink()
    path = tmp_path / started.name / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "train": {**content["train"], "lr": 1e30}}))
    before = sorted(tmp_path.rglob("*"))
    assert cli.run(words(data, tmp_path, *more)) == 2
    error = capsys.readouterr().err
    assert f"{started.name}' was started with other settings than the grid gives it (lr: 1e+30 -> " in error
    assert "give another --runs, or remove that folder." in error and "--name" not in error
    assert sorted(tmp_path.rglob("*")) == before
    path.write_text("[")
    assert cli.run(words(data, tmp_path, *more)) == 2
    assert "config.json" in capsys.readouterr().err


def test_where_each_training_fails_in_one_way_the_others_are_not_started(data, tmp_path, capsys):
    """The whole message came once for each training of each seed."""
    names = [f"{row}-seed{seed}" for seed in range(4) for row in ("bare", "snl-gate-0.5-layer2.-1")]
    spoil(tmp_path, *names)
    assert cli.run(words(data, tmp_path, "--seeds", "0", "1", "2", "3", "--jobs", "1")) == 1
    error = capsys.readouterr().err
    assert error.count("out of the folder that is to be written") == 1
    assert "bare-seed0 FAILED: " in error
    assert "snl-gate-0.5-layer2.-1-seed0 FAILED as bare-seed0" in error
    assert "seed2" not in error
    assert "the last 3 trainings failed in the same way; 5 more not started" in error
    lines = [line.partition(" FAILED")[0] for line in error.splitlines() if "started: " in line or " FAILED" in line]
    assert lines[0::2] == [f"started: {name}" for name in names[:3]]  # the next one starts when its own line is said
    assert lines[1::2] == [f"{number} of 8: {name}" for number, name in enumerate(names[:3], 1)]
    assert f"each training failed; what they printed is in {tmp_path}/logs" in error


def test_runs_that_are_no_folder(data, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.run(words(data, tmp_path / "file")) == 2
    assert "file' is no folder" in capsys.readouterr().err
    (tmp_path / "bare-seed1").touch()
    assert cli.run(words(data, tmp_path, "--dry-run")) == 2
    assert "bare-seed1' is no folder, and files are to be written into it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "fix"),
    [
        ("results.json", "Put a sound copy of it there, or have it written again."),
        ("config.json", "Put a copy of it there, or remove the folder of the run and train again."),
        ("last/meta.json", "Put a copy of the whole folder last there, or train again."),
    ],
)
def test_a_damaged_file_of_a_run_is_named_with_what_to_do(data, runs, tmp_path, capsys, file, fix):
    copy = Path(shutil.copytree(runs, tmp_path / "runs"))
    os.truncate(copy / "bare-seed1" / file, 30)
    assert cli.run(words(data, copy, "--table-only")) == 2
    error = capsys.readouterr().err
    assert f"bare-seed1/{file}' is not JSON: " in error
    assert error.endswith(f". {fix}\n")


def test_a_failing_training_is_named_and_the_others_go_on(data, tmp_path, capsys):
    spoil(tmp_path, "bare-seed0")
    assert cli.run(words(data, tmp_path, "--seeds", "0", "--jobs", "1")) == 1
    captured = capsys.readouterr()
    assert "1 of 2: bare-seed0 FAILED: " in captured.err
    started, ended = (
        captured.err.index("started: snl-"),
        captured.err.index("2 of 2 done: snl-gate-0.5-layer2.-1-seed0  mAP "),
    )
    assert started < ended
    assert "out of the folder that is to be written" in captured.err
    assert "snl(gate=0.5)@layer2.-1" in captured.out


@pytest.mark.slow
def test_a_stopped_grid_goes_on(data, tmp_path):
    """SIGTERM while trainings run: they save themselves, and the same command finishes as if nothing had been."""
    line = [sys.executable, "-m", "specvid", *words(data, tmp_path, "--variants", "repeats=20")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ))
    deadline = time.time() + 120
    while not list(tmp_path.glob("*/metrics.jsonl")) and time.time() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert not list(tmp_path.glob("*/results.json"))
    assert subprocess.run(line, capture_output=True).returncode == 0
    assert len(list(tmp_path.glob("*/results.json"))) == 4
    assert json.loads((tmp_path / "bare-repeats-20-seed0/results.json").read_text())["training"]["epochs"] == 2


def test_lists_are_read_once_and_missing_weights_are_said_once(data, tmp_path, capsys, monkeypatch):
    """They were read for each row where variants change clips; that weights are missing stood in the logs alone."""
    reads = []
    whole = ReidTask.read_lists
    monkeypatch.setattr(ReidTask, "read_lists", staticmethod(lambda config: reads.append(config) or whole(config)))
    more = ["--dry-run", "--variants", "", "flip=0", "--recipes", "tiny", "osnet"]
    assert cli.run([*words(data, tmp_path / "runs"), *more]) == 0
    error = capsys.readouterr().err
    assert len(reads) == len(set(reads))
    assert "checking 8 networks" in error
    assert error.count("warning: recipe osnet is for a network that starts from weights, and none are given: ") == 1
    assert "Give --set weights=FILE, or" in error and "or a --recipes that starts" in error
