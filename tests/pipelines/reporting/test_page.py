"""The page of `specvid report --html`: what is there is shown, what is missing is named, and no name runs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from specvid import cli
from specvid.pipelines.reporting.build import make_report
from specvid.pipelines.reporting.comparison import differences
from specvid.pipelines.reporting.curves import learning_curves
from specvid.pipelines.reporting.page import _number_columns, as_island, write_page
from specvid.pipelines.reporting.plotly import as_plotly
from specvid.pipelines.reporting.reid import _cmc
from specvid.pipelines.reporting.runs import RunRecord, find_runs, read_run, read_table
from specvid.pipelines.reporting.table import report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def write_run(folder: Path, *, seed: int = 0, blocks: str = "", top1: float = 0.5, epochs: int = 3, **entry) -> Path:
    """A run as a training leaves it, without its data."""
    folder.mkdir(parents=True)
    config = {
        "clips": {"dataset": "ucf101", "data": "nowhere", "split": 1},
        "net": {"model": "r3d_tiny", "blocks": blocks},
        "train": {"seed": seed, "epochs": epochs},
    }
    (folder / "config.json").write_text(json.dumps({"specvid": "0.1.0", "task": "action", **config}))
    gates = {"gates": {"backbone.layer2": 0.1}} if blocks else {}
    lines = [{"epoch": i, "step": 9 * i, "loss": 1 / (i + 1), "val_loss": 1.5, **gates} for i in range(epochs)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    evaluation = {"dataset": "Clips", "split": 1, "checkpoint": "last", "clips": 1, "crops": 1, "top1": top1, **entry}
    results = {"task": "action", "run": folder.name, "config": config, "evaluations": [evaluation]}
    (folder / "results.json").write_text(json.dumps(results))
    return folder


class _Tags(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(*runs: Path, out: Path) -> tuple[str, _Tags]:
    write_page(make_report(runs), out)
    text = out.read_text()
    return text, _Tags(text)


def test_a_page_holds_all_it_needs_and_fetches_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/bare")
    write_run(tmp_path / "runs/snl", blocks="snl@layer2.-1", top1=0.75)
    text, page = page_of(tmp_path / "runs", out=tmp_path / "out.html")
    assert [attributes for _, attributes in page.found if attributes.keys() & {"src", "href"}]
    assert all((a.get("href") or "#").startswith("#") and not a.get("src") for _, a in page.found)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy and "script-src 'sha256-" in policy
    assert "+25.00" in page.text and "specvid train action --config" in page.text
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])
    loss = data["charts"]["curve-loss"]["data"]
    assert [trace["name"] for trace in loss] == ["bare", "bare, validation", "snl", "snl, validation"]
    assert loss[0]["x"] == [1, 2, 3] and loss[0]["y"] == [1, 1 / 2, 1 / 3]
    assert data["charts"]["run1-gates"]["data"][0]["y"] == [0.1] * 3
    assert len(text) < 20e6


def test_figures_of_two_tasks_have_charts_of_their_own() -> None:
    def record(task: str, **figures: float) -> RunRecord:
        return RunRecord(Path(task), config={"task": task}, lines=[{"epoch": 0, **figures}])

    runs = [record("action", loss=1.0, lr=0.1), record("reid", loss=7.0, lr=0.2, triplet_loss=0.5)]
    charts = {chart.key: chart for chart in learning_curves(runs)}
    assert list(charts) == ["curve-loss-action", "curve-loss-reid", "curve-triplet-loss-reid", "curve-lr"]
    assert charts["curve-loss-reid"].title == "Loss of re-ID" and charts["curve-loss-reid"].series[0].y == [7.0]
    assert len(charts["curve-lr"].series) == 2
    assert [chart.title for chart in learning_curves(runs[:1])] == ["Loss", "Learning rate"]


def test_names_of_others_are_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "<b>bold<", blocks=HOSTILE, dataset=HOSTILE, per_class={HOSTILE: 0.5})
    config = json.loads((run / "config.json").read_text())
    config["net"]["model"] = HOSTILE
    config[HOSTILE] = {HOSTILE: [HOSTILE]}
    (run / "config.json").write_text(json.dumps(config))
    text, page = page_of(run, out=tmp_path / "out.html")
    assert "alert(1)" in page.text
    assert "<script>alert(" not in text and "<img" not in text and "<b>bold" not in text
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    island = as_island({"name": HOSTILE, "number": float("nan"), "half": "\udc80"})
    assert not set(island) & set("<>&") and json.loads(island) == {"name": HOSTILE, "number": None, "half": "\udc80"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", epochs=1)
    assert "nowhere" in " ".join(make_report([run]).runs[0].missing)
    (run / "metrics.jsonl").unlink()
    (run / "results.json").write_text('{"evaluations": [1, {"top1": "high", "dataset": []}], "training": 3}')
    (run / "config.json").write_text('{"task": ["odd"], "net": 3}')
    _, page = page_of(run, out=tmp_path / "out.html")
    assert "there is no metrics.jsonl" in page.text
    (run / "results.json").write_text("{")
    _, page = page_of(run, out=tmp_path / "out.html")
    assert "is not JSON" in page.text and "nothing was evaluated yet" in page.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"'.*empty' holds no config.json"):
        find_runs([tmp_path / "empty"])


def test_no_file_outside_of_the_run_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "results.json").write_text("{}")
    run = write_run(tmp_path / "run")
    (run / "eval").mkdir()
    (run / "eval/split1").symlink_to(secret)
    record = read_run(run)
    assert list(record.evaluation_folders()) == list(record.evaluation_folders()) == []
    assert sum("link to outside" in text for text in record.missing) == 1  # however often it is asked
    (secret / "clips.csv").write_text("clip\nsecret\n")
    (run / "eval/split2").mkdir()
    (run / "eval/split2/clips.csv").symlink_to(secret / "clips.csv")
    (tmp_path / "run/eval/split2/queries-x").mkdir()
    for name in ("clips.csv", "queries-x/../../../../secret/clips.csv"):
        with pytest.raises(ValueError, match="outside"):
            read_table(run / "eval/split2", name)
    for name in ("results.json", "metrics.jsonl"):
        (run / name).replace(secret / name)
        (run / name).symlink_to(secret / name)
    made = make_report([run])
    assert not made.figures and not made.runs[0].epochs
    assert sum("link to outside" in text for text in made.runs[0].missing) == 2
    (run / "config.json").replace(secret / "config.json")
    (run / "config.json").symlink_to(secret / "config.json")
    record = read_run(run)
    assert "link to outside" in record.missing[0] and not record.config and not record.task


def test_a_run_counts_once_however_it_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", seed=3)
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {"run": float("nan")}))
    (tmp_path / "link").symlink_to(run)
    names = [run, tmp_path / "run/../run", tmp_path / "link"]
    assert find_runs(names) == [run] and [row[-2:] for table in report(names) for row in table] == [
        ["runs", "top1"],
        ["1", "50.00"],
    ]
    assert "nan" in page_of(run, out=tmp_path / "out.html")[1].text


def test_each_task_has_a_table_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One table over all had a column for each setting and figure of any task, 36 of them."""
    write_run(tmp_path / "runs/a", top1=0.5)
    write_run(tmp_path / "runs/b", top1=0.75, blocks="snl@layer2.-1")
    reid = write_run(tmp_path / "runs/c")
    results = json.loads((reid / "results.json").read_text())
    entry = {"dataset": "MARS", "split": 1, "checkpoint": "last", "sampling": "all"}
    entry["protocols"] = {"mars": {"protocol": "mars", "mAP": 0.25, "rank1": 0.5}}
    (reid / "results.json").write_text(json.dumps({**results, "task": "reid", "evaluations": [entry]}))
    assert cli.run(["report", str(tmp_path / "runs")]) == 0
    first, second = (part.splitlines() for part in capsys.readouterr().out.split("\n\n"))
    assert len(first) == 4 and first[0].split()[-2:] == ["runs", "top1"] and "mAP" not in first[0]
    assert len(second) == 3 and second[0].split()[-2:] == ["mAP", "rank1"] and "top1" not in second[0]
    assert cli.run(["report", str(tmp_path / "runs"), "--metrics", "mAP"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and "warning: 2 scores without mAP left out" in err


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    for seed, (bare, snl) in enumerate([(0.5, 0.6), (0.7, 0.9)]):
        write_run(tmp_path / f"runs/bare{seed}", seed=seed, top1=bare)
        write_run(tmp_path / f"runs/snl{seed}", seed=seed, top1=snl, blocks="snl@layer2.-1")
    (one,) = differences(make_report([tmp_path / "runs"]).figures)
    assert (one.these, one.others, one.pairs) == ("blocks snl@layer2.-1", "blocks -", 2)
    assert one.figures["top1"] == (pytest.approx(0.15), pytest.approx(0.05 * 2**0.5))
    write_run(tmp_path / "runs/snl9", seed=9, top1=0.1, blocks="snl@layer2.-1")
    report = make_report([tmp_path / "runs"])
    (one,) = differences(report.figures)
    assert (one.pairs, one.alone, one.figures["top1"][0]) == (2, ("9",), pytest.approx(0.15))
    assert report.differences[0][1][2] == "2 paired; without 9, which only one has"
    write_run(tmp_path / "other/snl", seed=7, top1=0.8, blocks="snl@layer2.-1")
    (one,) = differences(make_report([tmp_path / "runs/bare0", tmp_path / "other/snl"]).figures)
    assert (one.pairs, one.figures["top1"]) == (0, (pytest.approx(0.3), None))


def test_blocks_that_were_never_used_and_that_leave_little_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", blocks="snl@layer2.-1")
    results = json.loads((run / "results.json").read_text())
    shares = {"layer2.-1": 0.002, "layer1.0": 0.5, "layer2.end": 21.57, "layer1.end": "much", "layer1.1": None}
    results["training"] = {"blocks": [{"place": place, "share": share} for place, share in shares.items()]}
    (run / "results.json").write_text(json.dumps(results))
    found = [text for text in make_report([run]).runs[0].missing if text.startswith("block ")]
    assert found == [
        "block layer1.end: share is 'much' in results.json, which is no number",
        "block layer2.-1 was never used: it adds 0.2 % to the features (less than 1 %). What it looks at below was not "
        "learned",
        "block layer2.end leaves little of the features: it adds 2157 % to them (more than 500 %)",
    ]


def test_a_command_names_a_run_as_it_can_be_named(tmp_path: Path) -> None:
    """`--name 'my run-again'` was refused by the program that printed it."""
    command = make_report([write_run(tmp_path / "my run é")]).runs[0].commands[0]
    assert command.endswith("--name my-run-again")


def test_curves_that_are_the_same_are_one_with_both_names(tmp_path: Path) -> None:
    curve = {"cmc": [0.5, 0.75], "mAP": 0.5}
    other = {"cmc": [0.5, 0.8], "mAP": 0.5}
    chart = _cmc("eval0", {"mars": curve, "mars-ap": curve, "cross-camera": other})
    assert [series.name for series in chart.series] == ["mars = mars-ap", "cross-camera"]


def test_what_is_no_number_has_no_curve_and_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines[1]["loss"], lines[2]["loss"] = float("nan"), float("inf")
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    missing = make_report([run]).runs[0].missing
    assert "loss: it is nan in 2 of 3 epochs, first in epoch 2, and has no curve there" in missing


def test_of_many_runs_each_looks_different() -> None:
    runs = [RunRecord(Path(f"run{i}"), lines=[{"epoch": 0, "loss": 1.0}]) for i in range(12)]
    drawn = as_plotly(learning_curves(runs)[0])["data"]
    assert len({(one["line"]["color"], one["line"]["dash"]) for one in drawn}) == 12


def test_clips_are_shown_where_classes_are_too_many_for_a_matrix(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    folder = run / "eval/split1-last-1x1"
    folder.mkdir(parents=True)
    (entry,) = json.loads((run / "results.json").read_text())["evaluations"]
    (folder / "results.json").write_text(json.dumps(entry))
    rows = [f"clip{i},class{i},class{i + i % 2},{1 - i % 2},{i / 1000},0.1,,\n" for i in range(500)]
    heading = "clip,class,predicted,correct,p_predicted,p_class,error,warning\n"
    (folder / "clips.csv").write_text(heading + "".join(rows))
    text, page = page_of(run, out=tmp_path / "out.html")
    part = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])["confusions"]["run0-eval0"]
    assert "501 classes are more than the 400 of a page" in page.text and part["counts"] == []
    first = part["clips"][part["mistakes"][0]]
    assert first["n"] == "clip499" and part["classes"][first["t"]] == "class499"
    assert part["classes"][first["p"]] == "class500" and len(part["clips"]) < 100
    assert len(part["classes"]) == 501 and sorted([*part["mistakes"], *part["unsure"]]) == [*range(len(part["clips"]))]
    assert part["clips"][part["unsure"][0]]["n"] == "clip0"


def test_a_dash_stands_where_its_column_does() -> None:
    rows = [["blocks", "top1", "why"], ["-", "-", "-"], ["snl@layer2", "79.1 ± 2", "-"]]
    assert _number_columns(rows) == [False, True, False] and _number_columns(rows[:1]) == [False] * 3


def test_long_reasons_say_that_they_are_cut(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("x" * 5000)

    record = RunRecord(tmp_path)
    record.attempt("all", fail)
    assert record.missing[0].endswith("x ...") and len(record.missing[0]) < 700


def test_commands_repeat_what_they_can(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", listed=30)
    assert make_report([run]).runs[0].commands[1:] == [f"specvid eval action --run {run} --split 1 --clips 1 --crops 1"]
    config = json.loads((run / "config.json").read_text())
    config["clips"]["limit"] = 30  # the training took so many clips, and eval takes all
    (run / "config.json").write_text(json.dumps(config))
    assert len(make_report([run]).runs[0].commands) == 1
    ranked = {"rerank": "k-reciprocal (k1=20, k2=6, lambda=0.3)", "source": "/data/my mars", "elsewhere": True}
    write_run(tmp_path / "reid", **ranked)
    config |= {"task": "reid"}
    (tmp_path / "reid/config.json").write_text(json.dumps(config))
    command = make_report([tmp_path / "reid"]).runs[0].commands[1]
    assert command.endswith("--rerank --k1 20 --k2 6 --lambda-value 0.3 --data '/data/my mars'")


def test_a_cell_for_spreadsheets_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip,class\n'=1+1,'tis\n")
    assert read_table(tmp_path, "clips.csv") == [{"clip": "=1+1", "class": "'tis"}]
    with pytest.raises(ValueError, match=r"other.csv is not there"):
        read_table(tmp_path, "other.csv")


def test_the_command_writes_the_page_and_prints_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = write_run(tmp_path / "run"), tmp_path / "out.html"
    assert cli.run(["report", str(run), "--html", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert cli.run(["report", str(run), "--html", str(out), "--markdown"]) == 2
    assert "--markdown is for the table" in capsys.readouterr().err


def test_confusions_and_clips_of_an_evaluation(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", per_class={"a<b": 0.5, "c": 1.0}, dataset="Clips", unreadable=["gone.avi"])
    folder = run / "eval/split1-last-1x1"
    folder.mkdir(parents=True)
    (entry,) = json.loads((run / "results.json").read_text())["evaluations"]
    (folder / "results.json").write_text(json.dumps(entry))
    (folder / "clips.csv").write_text(
        "clip,class,predicted,correct,p_predicted,p_class,error,warning\n1,a<b,a<b,1,0.6,0.6,,\n"
        f"2,a<b,c,0,0.9,0.1,,\n3,c,c,1,0.7,0.7,,\ngone.avi,c,,0,,,{HOSTILE},\n"
    )
    text, page = page_of(run, out=tmp_path / "out.html")
    part = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])["confusions"]["run0-eval0"]
    assert part["classes"] == ["a<b", "c"] and part["counts"] == [[1, 1, 0], [0, 1, 1]]
    assert [part["clips"][i]["n"] for i in part["mistakes"]] == ["2"]
    assert [part["clips"][i]["n"] for i in part["unsure"]] == ["1", "3"]
    assert "gone.avi" in page.text and "c (1)" in page.text  # a<b is taken most for c
    (folder / "clips.csv").unlink()
    assert "clips.csv is not there" in page_of(run, out=tmp_path / "out.html")[1].text
