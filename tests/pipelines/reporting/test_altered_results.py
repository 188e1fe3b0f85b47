"""A results.json that somebody else wrote: `report`, its page and `ablate` read it, or refuse it in one line."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from specvid import cli
from specvid.pipelines.ablate.table import _training
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reporting.table import read_figures

RESULTS: dict[str, Any] = {
    "task": "action",
    "run": "a",
    "config": {"model": "r3d_tiny", "blocks": "", "seed": 0},
    "training": {"parameters": 5, "blocks": [{"block": "snl", "gate_mean": 0.5, "share": None}]},
    "evaluations": [
        {"dataset": "UCF-101", "source": "", "split": 1, "clips": 1, "crops": 1, "listed": 3, "scored": 3, "top1": 0.5}
    ],
}


def entry(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["evaluations"][0].update(changes)


def rest(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(changes)


ALTERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "evaluations are an object": rest(evaluations={"a": 1}),
    "evaluations are texts": rest(evaluations=["x"]),
    "evaluations are a number": rest(evaluations=5),
    "config is a list": rest(config=[1]),
    "config is text": rest(config="x"),
    "figure too large": entry(top1=10**400),
    "figure of 300 digits": entry(top1=1e308),
    "figure in per cent": entry(top1=50),
    "figure below none": entry(mean_class=-0.1),
    "figure is no number": entry(top1=float("nan")),
    "figure is infinite": entry(mean_class=float("-inf")),
    "source without a data set": lambda content: (
        content["evaluations"][0].update(source="x") or content["evaluations"][0].pop("dataset")
    ),
    "no crops": lambda content: content["evaluations"][0].pop("crops"),
    "fused numbers": entry(fused=[1, 2], fuse="mean"),
    "protocols are a list": entry(protocols=[1]),
    "protocols of numbers": entry(protocols={"mars": 1}),
}


@pytest.mark.parametrize("name", ALTERED)
def test_results_of_others(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    runs = []
    for run in ("a", "b"):
        content = copy.deepcopy(RESULTS)
        content["config"]["seed"] = run
        ALTERED[name](content)
        (tmp_path / run).mkdir()
        (tmp_path / run / "results.json").write_text(json.dumps(content))
        runs.append(str(tmp_path / run))
    assert cli.run(["report", *runs]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("specvid: results ") and "results.json" in err and len(err.splitlines()) == 1
    pytest.importorskip("jinja2")
    assert cli.run(["report", *runs, "--html", str(tmp_path / "page.html")]) in (0, 2)
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("specvid: ")]) <= 1


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"config":' * 500 + b"1" + b"}" * 500, b"\xff\xfe", b"[]"])
def test_no_results(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"results\.json"):
        list(read_figures(tmp_path / "results.json"))


@pytest.mark.parametrize(
    "training",
    [None, [1], "x", {}, {"parameters": "x"}, {"parameters": 5, "blocks": "x"}, {"parameters": 5, "blocks": ["x"]},
     {"parameters": 5, "blocks": [{"gate_mean": "x"}]}, {"parameters": 5, "blocks": [{"share": 10**400}]}],
)  # fmt: skip
def test_ablations_of_others(training: Any, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({**RESULTS, "training": training}))
    with pytest.raises(ValueError, match=r"results\.json': training is "):
        _training(RunFolder(tmp_path))


def test_ablations_of_ours(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    assert _training(RunFolder(tmp_path)) == ([{"block": "snl", "gate_mean": 0.5, "share": None}], 5)
    (figures,) = read_figures(tmp_path / "results.json")
    assert figures.values == {"top1": 0.5} and figures.settings == {"model": "r3d_tiny", "blocks": "", "seed": 0}
