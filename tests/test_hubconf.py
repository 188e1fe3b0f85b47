"""torch.hub finds the entry points in a checkout, and they run its code, whether or not specvid is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOAD = """
import sys, torch
print("r3d_18" in torch.hub.load(sys.argv[1], "list_backbones", source="local"))
model = torch.hub.load(sys.argv[1], "create_model", "r3d_tiny", source="local", blocks="snl@layer2.-1", num_classes=3)
print(tuple(model.eval()(torch.zeros(1, 3, 4, 32, 32)).shape))
import specvid, specvid.models.blocks, specvid.pipelines
print(specvid.__file__, specvid.models.blocks.__file__, specvid.pipelines.__file__)
"""


@pytest.mark.parametrize("links", [True, False], ids=["links", "links-as-text"])
def test_a_checkout_alone_is_enough(tmp_path: Path, links: bool) -> None:
    """``links=False``: as in an unpacked zip, or a Windows checkout, where a link is a text file."""
    copy = tmp_path / "checkout"
    for folder in ("src/specvid", "models", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    for link in [] if links else [path for path in (copy / "src/specvid").iterdir() if path.is_symlink()]:
        target = str(link.readlink())
        link.unlink()
        link.write_text(target)
    shutil.copy(ROOT / "hubconf.py", copy)
    command = [sys.executable, "-c", LOAD, str(copy)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    listed, shape, files = ran.stdout.splitlines()
    assert (listed, shape) == ("True", "(1, 3)")
    assert [Path(file).resolve().relative_to(copy).parts[0] for file in files.split()] == ["src", "models", "pipelines"]
