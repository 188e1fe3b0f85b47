"""Folders of somebody else: no verb runs code that they name, unless the user says --trust.

A trap that is sprung makes a folder. With mmaction2 they all work: `test_trusted_traps_are_sprung` shows it.
"""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_reid
from tiny_ucf101 import synthesize_tiny_ucf101

import specvid
from specvid import cli
from specvid.models import create_model
from specvid.models.trust import names_code

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --epochs 1 --workers 0 --device cpu"
CPU = ["--device", "cpu"]
HERE = [*CPU, "--workers", "0"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, mars/, runs/a (action), runs/r (re-ID), emb/ (of a backbone), rows/ (of runs/a), shared/."""
    root = tmp_path_factory.mktemp("sound")
    synthesize_tiny_ucf101(root / "data", groups=4, clips=1)
    tiny_reid.synthesize_tiny_mars(root / "mars")
    run = ["--data", str(root / "data"), "--model", "r3d_tiny", "--runs", str(root / "runs"), "--name", "a"]
    assert cli.run(["train", "action", *run, *QUICK.split(), "--no-tensorboard"]) == 0
    assert tiny_reid.train(root / "mars", root / "runs", "--name r --epochs 1") == 0
    embed = ["embed", str(video(root)), *HERE]
    assert cli.run([*embed, "--model", "r3d_tiny", "--frames", "4", "--size", "16", "--out", str(root / "emb")]) == 0
    assert cli.run([*embed, "--run", str(root / "runs/a"), "--out", str(root / "rows")]) == 0
    create_model("r3d_tiny", num_classes=3, input={"frames": 4, "size": 16}).save_pretrained(root / "shared")
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to lay traps in."""
    monkeypatch.syspath_prepend(tmp_path / "theirs")
    shutil.copytree(sound, tmp_path / "theirs")
    edit(
        tmp_path / "theirs/rows/embed.json",
        lambda content: content["config"]["network"].update(run=str(tmp_path / "theirs/runs/a")),
    )
    return tmp_path / "theirs"


def video(root: Path) -> Path:
    return root / "data/videos/Red/v_Red_g01_c01.avi"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def config_file(root: Path) -> str:
    """A config of mmaction2 that is a trap."""
    path = root / "config.py"
    backbone = "model = dict(type='Recognizer2D', backbone=dict(type='ResNet', depth=18), cls_head=None)"
    path.write_text(f"__import__('os').makedirs({str(root / 'sprung')!r}, exist_ok=True)\n{backbone}\n")
    return str(path)


def module(root: Path) -> str:
    """A module that is a trap, beside where Python is started (the fixture `root` puts it on the path)."""
    (root / f"trap_{os.getpid()}.py").write_text(f"import os\nos.makedirs({str(root / 'sprung')!r}, exist_ok=True)\n")
    return f"trap_{os.getpid()}"


TRAPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "config file": lambda root: {"name": f"mmaction:{config_file(root)}"},
    "init_cfg": lambda root: {
        "name": "mmaction:ResNet",
        "depth": 18,
        "init_cfg": {"type": "os.mkdir", "path": str(root / "sprung")},
    },
    "dotted type": lambda root: {
        "name": "mmaction:ResNet3d",
        "depth": 18,
        "act_cfg": {"type": f"{module(root)}.Thing"},
    },
}


def in_run(name: str) -> Callable[[Path, dict[str, Any]], None]:
    return lambda root, model: edit(root / f"runs/{name}/last/meta.json", lambda content: content.update(model=model))


def in_ablation(root: Path, model: dict[str, Any]) -> None:
    in_run("a")(root, model)
    shutil.copytree(root / "runs/a", root / "ablation/bare-seed0")
    edit(root / "ablation/bare-seed0/config.json", lambda content: content["clips"].update(data=str(root / "data")))


def of_ablation(root: Path) -> list[str]:
    """The table of it, by its own settings: of others the run is not read so far."""
    flags = QUICK.split()
    settings = [f"{flag[2:]}={value}" for flag, value in zip(flags[::2], flags[1::2], strict=True)]
    words = ["ablate", "--task", "action", "--seeds", "0", "--table-only", "--runs", str(root / "ablation")]
    return [*words, "--set", "model=r3d_tiny", f"data={root / 'data'}", *settings]


def in_shared(root: Path, model: dict[str, Any]) -> None:
    edit(root / "shared/config.json", lambda content: content.update(model=model))


def in_rows(root: Path, model: dict[str, Any]) -> None:
    edit(root / "emb/embed.json", lambda content: content["config"]["network"].update(model=model["name"], trust=True))


def in_settings(root: Path, model: dict[str, Any]) -> None:
    edit(root / "runs/a/config.json", lambda content: content["net"].update(model=model["name"]))


def from_settings(root: Path) -> list[str]:
    return ["train", "action", "--config", str(root / "runs/a/config.json"), "--runs", str(root / "runs")]


Lay = Callable[[Path, dict[str, Any]], None]
VERBS: dict[str, tuple[Lay, Callable[[Path], list[str]]]] = {
    "predict --run": (in_run("a"), lambda root: ["predict", str(video(root)), "--run", str(root / "runs/a"), *HERE]),
    "predict --model": (in_shared, lambda root: ["predict", str(video(root)), "--model", str(root / "shared"), *HERE]),
    "eval action": (in_run("a"), lambda root: ["eval", "action", "--run", str(root / "runs/a"), *HERE]),
    "eval reid": (in_run("r"), lambda root: ["eval", "reid", "--run", str(root / "runs/r"), *HERE]),
    "embed --run": (
        in_run("a"),
        lambda root: ["embed", str(video(root)), "--run", str(root / "runs/a"), "--out", str(root / "new"), *HERE],
    ),
    "embed --model": (
        in_shared,
        lambda root: ["embed", str(video(root)), "--model", str(root / "shared"), "--out", str(root / "new"), *HERE],
    ),
    "export": (
        in_run("a"),
        lambda root: ["export", str(root / "runs/a"), "--to", "torch-export", "--out", str(root / "a.pt2"), *CPU],
    ),
    "search query": (in_run("a"), lambda root: ["search", "query", str(root / "rows"), str(video(root)), *CPU]),
    "search query, model": (in_rows, lambda root: ["search", "query", str(root / "emb"), str(video(root)), *CPU]),
    "search query, weights moved": (
        in_rows,
        lambda root: ["search", "query", str(root / "emb"), str(video(root)), "--weights", "x.pth", *CPU],
    ),
    "ablate": (in_ablation, of_ablation),
    "train --config": (in_settings, from_settings),
    "train --resume": (in_settings, lambda root: [*from_settings(root), "--resume", "auto", "--max-steps", "1"]),
}
CASES = [
    (verb, trap)
    for verb, (lay, _) in VERBS.items()
    for trap in TRAPS
    if trap == "config file" or lay not in (in_rows, in_settings)  # those files hold no options
]


@pytest.mark.parametrize(("verb", "trap"), CASES)
def test_no_verb_runs_what_a_folder_names(verb: str, trap: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay, words = VERBS[verb]
    lay(root, TRAPS[trap](root))
    capsys.readouterr()
    assert cli.run(words(root)) == 2
    message = capsys.readouterr().err
    assert not (root / "sprung").exists()
    assert "may run any code" in message and "--trust" in message and len(message.splitlines()) == 1, message


@pytest.mark.skipif(importlib.util.find_spec("mmaction") is None, reason="the traps are of mmaction2")
@pytest.mark.parametrize(("verb", "trap"), [case for case in CASES if case[0] in ("predict --run", "train --config")])
def test_trusted_traps_are_sprung(verb: str, trap: str, root: Path) -> None:
    """So the tests above would fail if the door were open; and --trust opens it."""
    lay, words = VERBS[verb]
    lay(root, TRAPS[trap](root))
    cli.run([*words(root), "--trust"])
    assert (root / "sprung").exists()


def test_load_in_python(root: Path) -> None:
    for place in ("shared", "runs/a"):
        (in_shared if place == "shared" else in_run("a"))(root, TRAPS["config file"](root))
        with pytest.raises(ValueError, match=r"config file .* may run any code.*trusted=True"):
            specvid.load(root / place)
    assert not (root / "sprung").exists()


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ({"name": "r3d_18", "blocks": "snl@layer3.-1"}, ""),
        ({"name": "inflated:resnet18", "time": 3}, ""),
        ({"name": "timm:resnet18", "input": {"size": [8, 8]}, "drop_rate": 0.1}, ""),
        ({"name": "mmaction:ResNet3d", "depth": 50, "conv_cfg": {"type": "Conv3d"}, "init_cfg": None}, ""),
        ({"name": "mmaction:ResNet3dSlowFast", "slow_pathway": {"type": "resnet3d", "depth": 50}}, ""),
        ({"name": "mmaction:ResNet3d(depth=18, inflate=(0, 0, 1, 1))"}, ""),
        ({"name": "mmaction:ResNet3d(pretrained=evil)"}, "pretrained"),
        ({"name": "mmaction:ResNet3d(style=os.mkdir)"}, "config file"),
        ({"name": "timm:resnet18(checkpoint_path=evil)"}, "checkpoint_path"),
        ({"name": "timm:resnet18", "checkpoint_path": "evil"}, "checkpoint_path"),
        ({"name": "timm:resnet18", "pretrained_cfg": {"file": "evil"}}, "pretrained_cfg"),
        ({"name": "timm:hf_hub:evil/it"}, "the name"),
        ({"name": "mmaction:tsn_r50.py"}, "config file"),
        ({"name": "mmaction:ResNet", "norm_cfg": {"type": "antigravity"}}, "norm_cfg.type"),
        ({"name": "mmaction:ResNet", "a": [{"b": {"type": ["os", "mkdir"]}}]}, "a.b.type"),
        ({"name": "mmaction:ResNet", "style": "os.mkdir"}, "style"),
        ({"name": "mmaction:ResNet", "init_cfg": [{"type": "Kaiming"}]}, "init_cfg"),
        ({"name": "unheard:of"}, "the name"),
        ({"name": "hf:owner/name"}, ""),
        ({"name": "hf:videomae", "hidden_size": 24, "hidden_act": "gelu"}, ""),
        ({"name": "hf:videomae", "hidden_act": "os.mkdir"}, "hidden_act"),
        ({"name": "clip:images", "embed_dim": 12, "vision": {"timm_model_name": "vit_tiny_patch16_224"}}, ""),
        ({"name": "clip:images", "vision": {"timm_model_name": "hf-hub:evil/it"}}, "vision.timm_model_name"),
    ],
)
def test_what_names_code(model: dict[str, Any], found: str) -> None:
    message = names_code(model)
    assert (message == "") if not found else found in message


def test_trust_is_for_files_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "action", "--model", "r3d_tiny", "--trust"]) == 2
    assert "belongs to --config" in capsys.readouterr().err
