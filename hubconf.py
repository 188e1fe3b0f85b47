"""Entry points of torch.hub: ``torch.hub.load("OWNER/specvid", "create_model", "r3d_18", blocks="snl@layer3.-1")``.

They run the code of this checkout, installed or not.
"""

import importlib.util
import sys
from pathlib import Path

dependencies = ["torch", "torchvision", "numpy", "safetensors"]


def _use_this_checkout() -> None:
    """Makes ``import specvid`` find the folders beside this file, unless it was imported before."""
    if "specvid" in sys.modules:
        return
    root = Path(__file__).resolve().parent
    package = root / "src" / "specvid"
    spec = importlib.util.spec_from_file_location(
        "specvid", package / "__init__.py", submodule_search_locations=[str(package), str(root)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["specvid"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_use_this_checkout()

from specvid.models import create_model, list_backbones, load  # noqa: E402
from specvid.models.blocks import create_block, list_blocks  # noqa: E402

__all__ = ["create_block", "create_model", "list_backbones", "list_blocks", "load"]
