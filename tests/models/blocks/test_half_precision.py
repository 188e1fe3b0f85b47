"""Half precision at large N: finite, and as close as the numbers themselves allow."""

import pytest
import torch

from specvid.models.blocks import create_block, list_blocks

POSITIONS = 50_176
QUADRATIC = 3_136  # for blocks whose cost grows with N x N
OPTIONS = {
    "spectral": {"function": torch.exp},
    "nl-dot": {"kernel": "dot"},
    "nl-concat": {"kernel": "concat"},
    "nl-gaussian": {"kernel": "gaussian"},
}
LINEAR = ("snl", "cheb", "arma", "cayley", "heat", "spectral", "a2", "relu_dot", "cgnl", "nl-dot", "nl-concat")
CASES = (*LINEAR, *(name for name in list_blocks("nonlocal") if name not in LINEAR), "nl-gaussian")


def _block(case: str, norm: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return create_block(case.split("-")[0], 8, dims=1, gate=1.0, norm=norm, **OPTIONS.get(case, {}))


def _mask(masked: bool, positions: int) -> torch.Tensor | None:
    return torch.arange(positions).lt(positions - 5).unsqueeze(0) if masked else None


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_sums_over_all_positions_stay_finite(case: str, dtype: torch.dtype, masked: bool) -> None:
    """Degrees and unnormalised sums grow with N: so many positions of one sign overflow float16 many times over."""
    positions = POSITIONS if case in LINEAR else QUADRATIC
    for norm in ("batch", "group"):
        block, mask = _block(case, norm), _mask(masked, positions)
        x = (torch.rand(1, 8, positions) * 10 + 5).requires_grad_()
        with torch.autocast("cpu", dtype=dtype):
            y = block(x, mask)
        assert torch.isfinite(y).all()
        y.float().square().mean().backward()
        assert torch.isfinite(x.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in block.parameters())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_what_the_block_adds_is_close(case: str, dtype: torch.dtype, masked: bool) -> None:
    """Relative to the branch, on features of the size that norms leave."""
    positions = POSITIONS if case in LINEAR else QUADRATIC
    block, mask, x = _block(case, "none").eval(), _mask(masked, positions), torch.randn(1, 8, positions)
    with torch.no_grad():
        wanted = block(x, mask) - x
        with torch.autocast("cpu", dtype=dtype):
            ours = block(x, mask) - x
    assert (ours - wanted).norm() / wanted.norm() < (0.02 if dtype == torch.bfloat16 else 0.003)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", list_blocks("channel"))
def test_channel_blocks_pool_over_all_positions(name: str, dtype: torch.dtype, masked: bool) -> None:
    torch.manual_seed(0)
    block, mask = create_block(name, 8, dims=1, identity=False).eval(), _mask(masked, POSITIONS)
    x = (torch.rand(1, 8, POSITIONS) * 10 + 5).requires_grad_()
    wanted = block(x, mask)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x, mask)
    torch.testing.assert_close(y.float(), wanted, rtol=0.03, atol=0.03)
    y.float().square().mean().backward()
    assert torch.isfinite(x.grad).all()
