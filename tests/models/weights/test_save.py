"""Files of weights: equal ones have equal bytes, and what is in them is what was given."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from specvid.models.weights.save import save_tensors

SCRIPT = """
import sys, torch
from specvid.models.weights.save import save_tensors
metadata = {f"key {i}": 'a "quoted" name \\u00e9 \\t \\x07 \\\\' for i in range(20)}
torch.manual_seed(0)
save_tensors({f"layer.{i}": torch.randn(3, i + 1) for i in range(5)}, sys.argv[1], metadata)
"""


def test_equal_weights_are_equal_bytes_in_any_process(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for file in files:  # each process draws other hash seeds
        subprocess.run([sys.executable, "-c", SCRIPT, str(file)], check=True)
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], "pt") as content:
        assert list(content.metadata().values()) == ['a "quoted" name \u00e9 \t \x07 \\'] * 20


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6).reshape(2, 3).T, "a": torch.randn(4).to(torch.bfloat16), "é": torch.ones(())}
    file = tmp_path / "new" / "x.safetensors"
    save_tensors(tensors, file, {"specvid": json.dumps({"name": "é"}), "format": "pt"})
    found = load_file(file)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    with safe_open(file, "pt") as content:
        assert json.loads(content.metadata()["specvid"]) == {"name": "é"}
    assert [path.name for path in file.parent.iterdir()] == ["x.safetensors"]
