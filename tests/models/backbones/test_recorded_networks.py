"""HorNet-T, G-Ghost RegNet and GhostNet equal the authors' code: recorded logits and gradients."""

import json
from pathlib import Path

import pytest
import torch
from numbered import numbered, numbers_of
from safetensors import safe_open

import specvid

GOLDEN = Path(__file__).parents[2] / "golden" / "networks"


@pytest.mark.parametrize("name", sorted(file.stem for file in GOLDEN.iterdir()))
def test_equals_the_recorded_network(name: str, tmp_path: Path) -> None:
    """In float64, from a checkpoint with the authors' names and shapes; all that it holds is read."""
    with safe_open(GOLDEN / f"{name}.safetensors", framework="pt") as file:
        shapes = json.loads(file.metadata()["shapes"])
        wanted, gradient = file.get_tensor("y"), file.get_tensor("grad_x")
    torch.save(numbered(shapes), tmp_path / "weights.pth")
    torch.set_default_dtype(torch.float64)
    try:
        model = specvid.create_model(name, num_classes=wanted.shape[1], weights=tmp_path / "weights.pth").eval()
    finally:
        torch.set_default_dtype(torch.float32)
    assert not (model.loaded.missing or model.loaded.unexpected or model.loaded.mismatched)
    x = numbers_of("x", (1, 3, 64, 64)).requires_grad_()
    y = model(x.unsqueeze(2))
    y.backward(numbers_of("grad_y", wanted.shape))
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    near = 1e-6 if name == "ghostnet" else 1e-10  # PyTorch's gradient of the hard sigmoid has 1/6 in float32 always
    torch.testing.assert_close(x.grad[..., ::4, ::4], gradient, rtol=near, atol=near)
