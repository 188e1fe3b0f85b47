"""Without any extra the package imports, lists and runs; and what needs one names the command that installs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import specvid
from specvid.models import create_model
from specvid.pipelines.reporting.page import require_extra as require_report

EXTRAS = ("huggingface_hub", "mmaction", "mmcv", "mmengine", "onnxruntime", "open_clip", "ray", "timm", "torchcodec")
EXTRAS += ("plotly", "starlette", "torchdr", "transformers", "uvicorn", "wandb")

RUN = f"""
import sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))  # as if they were not installed
import specvid
assert "torch" not in sys.modules
import torch
from specvid.models.backbones.registry import option_names
assert option_names("timm:resnet18") is None  # timm's own, also before anything was built
model = specvid.create_model("r3d_18", blocks="snl@layer3.-1", num_classes=5).eval()
assert model(torch.zeros(1, 3, 2, 32, 32)).shape == (1, 5)
assert "r3d_18" in specvid.list_backbones() and "snl" in specvid.list_blocks()
import specvid.datasets, specvid.cli.embed, specvid.cli.predict, specvid.cli.train_action
import specvid.pipelines.action.predict, specvid.pipelines.action.train, specvid.pipelines.reid.train
import specvid.pipelines.embed.launch
"""


def test_the_core_runs_without_them() -> None:
    ran = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("extra", "ask"),
    [
        ("timm", lambda: create_model("timm:resnet18")),
        ("mmaction", lambda: create_model("mmaction:ResNet3d")),
        ("hf", lambda: create_model("hf:videomae")),
        ("hf", lambda: create_model("clip:ViT-B-32")),
        ("hub", lambda: specvid.load("owner/name")),
        ("report", require_report),
    ],
)
def test_an_absent_extra_names_the_command(monkeypatch: pytest.MonkeyPatch, extra: str, ask) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] in EXTRAS]:
        monkeypatch.delitem(sys.modules, module)
    for name in EXTRAS:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"Run `pip install 'specvid\[{extra}\]'`"):
        ask()


def test_every_command_that_is_named_exists() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    root = Path(__file__).parents[1]
    known = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {
        name
        for folder in ("models", "pipelines", "datasets", "tools")
        for file in (root / folder).rglob("*.py")
        for name in re.findall(r"(?:extra=\"|specvid\[)(\w+)", file.read_text())
    }
    assert {"timm", "hub", "hf"} <= asked
    assert asked <= set(known)
