"""Rows of an affinity for a page, beside the matrix itself."""

import base64

import numpy as np
import pytest
import torch

from specvid import create_block
from specvid.models import create_model
from specvid.pipelines.reporting.affinity import (
    ClipInput,
    affinity_map,
    frames_of_clip,
    inputs_of_blocks,
    largest_eigenvalues,
)

T, H, W = 3, 4, 4
N, PLACES = T * H * W, H * W


def decoded(found) -> np.ndarray:
    count = int(np.prod(found["cells"]))
    steps = np.frombuffer(base64.b64decode(found["rows"]), np.uint8).reshape(-1, count)
    low, high = np.array(found["low"])[:, None], np.array(found["high"])[:, None]
    return low + (high - low) * steps / 255


def block_and_features(name: str, dims: int = 3, **options):
    torch.manual_seed(0)
    block = create_block(name, 8, dims=dims, **options).eval()
    return block, torch.randn((1, 8, T, H, W) if dims == 3 else (T, 8, H, W))


def expected(block, x) -> np.ndarray:
    """The affinity of all positions of the clip, from that of its graphs."""
    if not hasattr(block, "operator"):  # time, then space
        return block.affinity_rows(x, torch.arange(N))[0].detach().numpy()
    dense, full = block.operator(x).dense().detach(), torch.zeros(T, PLACES, T, PLACES)
    for i in range(T if len(dense) == T else PLACES if len(dense) == PLACES else 0):
        if len(dense) == T:
            full[i, :, i] = dense[i]
        else:
            full[:, i, :, i] = dense[i]
    return (dense[0] if len(dense) == 1 else full.reshape(N, N)).numpy()


@pytest.mark.parametrize(
    ("name", "dims", "options"),
    [
        ("snl", 3, {}),
        ("nl", 3, {"mode": "s"}),
        ("nl", 3, {"mode": "t"}),
        ("snl", 3, {"mode": "t+s"}),
        ("cc", 3, {}),
        ("snl", 2, {}),
    ],
)
def test_rows_are_those_of_the_affinity(name: str, dims: int, options: dict) -> None:
    block, x = block_and_features(name, dims, **options)
    found = affinity_map(block, x, None, size=10**6)
    assert found["grid"] == found["cells"] == (T, H, W)
    wanted = expected(block, x)
    np.testing.assert_allclose(decoded(found), wanted, atol=1.01 * np.ptp(wanted) / 255)


def test_rows_with_pooled_keys_and_of_fewer_cells_keep_their_mean() -> None:
    block, x = block_and_features("nl", sub_sample=True)
    rows = decoded(affinity_map(block, x, None, size=10**6))
    np.testing.assert_allclose(rows.sum(axis=1), 4, rtol=0.02)  # a row of four times as many cells
    block, x = block_and_features("snl")
    found = affinity_map(block, x, None, size=600)
    assert found["cells"][0] == T and np.prod(found["cells"]) < N
    assert len(base64.b64decode(found["rows"])) == np.prod(found["cells"]) ** 2 <= 600


def test_what_relates_channels_too_is_refused() -> None:
    block, x = block_and_features("cgnl")
    with pytest.raises(ValueError, match="relates channels too"):
        affinity_map(block, x, None, size=10**6)


def test_the_spectrum_is_that_of_the_matrix() -> None:
    block, x = block_and_features("snl")
    exact = torch.linalg.eigvalsh(block.operator(x).dense().detach().double())[0].flip(-1)
    values = largest_eigenvalues(block, x, None)
    assert values[0] == pytest.approx(exact[0].item(), abs=1e-5)
    assert len(values) <= 64


def test_a_long_spectrum_keeps_its_negative_end() -> None:
    class Block:
        def operator(self, x: torch.Tensor, mask: torch.Tensor | None) -> "Block":
            return self

        def spectrum(self) -> torch.Tensor:
            return torch.cat([torch.linspace(1, 0.01, 100), -torch.linspace(0.01, 0.9, 100)])[None]

    values = largest_eigenvalues(Block(), torch.zeros(1, 1, 1, 2, 2), None)
    assert len(values) == 64 and values == sorted(values, reverse=True)
    assert values[0] == 1 and values[-1] == pytest.approx(-0.9) and min(map(abs, values)) > 0.5


@pytest.mark.parametrize("backbone", ["r3d_tiny", "mobilenet_v2"])
def test_each_block_gets_the_features_of_the_clip(backbone: str) -> None:
    place = {"r3d_tiny": "layer2.-1", "mobilenet_v2": "features.10"}[backbone]
    model = create_model(backbone, blocks=f"snl@{place}", num_classes=2).eval()
    video = torch.randn(3, 4, 40, 40)
    clip = ClipInput("a clip", video, None, model.input.mean, model.input.std)
    ((path, (x, _)),) = inputs_of_blocks(model, clip).items()
    block = model.get_submodule(path).block
    found = affinity_map(block, x, None, size=10**6)
    assert found["grid"][0] in (2, 4) and np.isfinite(decoded(found)).all()
    frames = frames_of_clip(clip, found["cells"][0])
    assert frames["n"] == found["cells"][0] and frames["u"].startswith("data:image/webp;base64,")
