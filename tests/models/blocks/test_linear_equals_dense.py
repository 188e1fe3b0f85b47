"""The exact linear forms equal the dense ones, and chunks equal the whole.

Outputs and gradients; with isolated nodes and masks; in half precision and at large N.
"""

import pytest
import torch

from specvid.models.blocks import create_block

CHANNELS = 10
FAMILY = ["snl", "cheb", "arma", "cayley", "heat", "a2", "relu_dot"]


def _pair(name: str, channels: int = CHANNELS, **options) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    linear = create_block(name, channels, impl="linear", gate=1.0, **options).double().eval()
    dense = create_block(name, channels, impl="dense", gate=1.0, **options).double().eval()
    dense.load_state_dict(linear.state_dict())
    return linear, dense


def _outputs(block: torch.nn.Module, x: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    y = block(x, mask)
    seed = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(5))
    gradients = torch.autograd.grad((y * seed).sum(), (x, *block.parameters()))
    return [y, *gradients]


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", ["st", "s", "t"])
@pytest.mark.parametrize("name", FAMILY)
def test_equal_to_1e_12_with_gradients(name: str, mode: str, masked: bool, isolated: bool) -> None:
    linear, dense = _pair(name, mode=mode, units=2)
    x = torch.randn(2, CHANNELS, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if isolated:
        x[:, :, 1, :2] = 0  # relu(theta) = relu(phi) = 0: no neighbours, degree 0
    mask = torch.tensor([[True, True, False], [True, False, False]]) if masked else None
    if mask is not None and mode == "t" and name == "a2":
        mask = torch.tensor([[True, True, False], [True, True, True]])
    for ours, wanted in zip(_outputs(linear, x, mask), _outputs(dense, x, mask), strict=True):
        scale = max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("impl", ["linear", "dense"])
@pytest.mark.parametrize("channels", [CHANNELS, 512])  # 60 positions lie side by side in memory where channels are many
def test_the_fused_unit_equals_the_plain_form(
    channels: int, impl: str, training: bool, masked: bool, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = _pair("snl", channels=channels)[impl == "dense"].train(training)
    x = torch.randn(2, channels, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if isolated:
        x[:, :, 1, :2] = 0
        fused.affinity.phi.weight.data[1:4] = 0  # active theta without a partner: no neighbours, though not zero
    mask = torch.tensor([[True, True, False], [True, False, False]]) if masked else None
    ours = _outputs(fused, x, mask)
    calls = []
    monkeypatch.setattr("specvid.models.blocks.block.fuses", lambda *_: calls.append(1) or False)
    wanted = _outputs(fused, x, mask)
    assert calls
    for one, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * max(1.0, other.abs().max().item()))


@pytest.mark.parametrize("name", ["snl", "cheb"])
def test_all_positions_isolated(name: str) -> None:
    linear, dense = _pair(name)
    x = torch.zeros(1, CHANNELS, 2, 2, 2, dtype=torch.float64)
    for ours, wanted in zip(_outputs(linear, x), _outputs(dense, x), strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(("channels", "positions"), [(64, 8), (64, 4096)])
def test_auto_takes_the_cheaper_one(channels: int, positions: int) -> None:
    from specvid.models.blocks.operators import Dense, LowRank

    block = create_block("snl", channels, dims=1)
    operator = block.operator(torch.randn(1, channels, positions))
    assert isinstance(operator, Dense if positions == 8 else LowRank)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["snl", "cheb", "relu_dot", "a2", "arma", "cayley", "heat", "cgnl"])
def test_half_precision_stays_finite_at_50176_positions(name: str, dtype: torch.dtype) -> None:
    """Degrees and unnormalised sums grow with N: 50,176 positions of the same sign overflow float16 many times over."""
    torch.manual_seed(0)
    block = create_block(name, 8, dims=1, gate=1.0)
    x = (torch.rand(1, 8, 50_176) * 10 + 5).requires_grad_()
    reference = block(x)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x)
    assert torch.isfinite(y).all()
    assert (y - reference).norm() / reference.norm() < 0.05
    y.float().square().mean().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters())


STREAMED = {
    "snl": {},
    "snl-stage": {"units": 3},
    "snl-time": {"mode": "t"},
    "snl-space": {"mode": "s"},
    "cheb": {"order": 3},
    "arma": {"order": 2},
    "cayley": {},
    "heat": {},
    "a2": {},
    "relu_dot": {},
    "nl": {"kernel": "dot"},
    "cgnl": {"groups": 5, "norm": "none"},
}


@pytest.mark.parametrize("case", STREAMED)
def test_chunks_equal_the_whole(case: str) -> None:
    torch.manual_seed(0)
    block = create_block(case.split("-")[0], CHANNELS, gate=1.0, **STREAMED[case]).double().eval()
    clip = torch.randn(2, CHANNELS, 11, 3, 4, dtype=torch.float64)
    for lengths in ([11], [4, 4, 3], [1] * 11, [9, 2]):
        parts = torch.cat(list(block.stream(clip.split(lengths, dim=2))), dim=2)
        torch.testing.assert_close(parts, block(clip), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "training", "once", "message"),
    [
        ("snl", True, False, "in training mode"),
        ("snl", False, True, "can be read only once"),
        ("nl", False, False, "has no sums of fixed size"),
        ("cc", False, False, "has no sums of fixed size"),
    ],
)
def test_chunks_that_cannot_equal_the_whole_are_refused(name: str, training: bool, once: bool, message: str) -> None:
    block = create_block(name, 16).train(training)
    chunks = torch.randn(1, 16, 4, 3, 3).split(2, dim=2)
    with pytest.raises(ValueError, match=message):
        list(block.stream(iter(chunks) if once else chunks))


def test_group_norm_cannot_be_streamed() -> None:
    block = create_block("cgnl", 16).eval()
    with pytest.raises(ValueError, match="group norm"):
        list(block.stream(torch.randn(1, 16, 4, 3, 3).split(2, dim=2)))
