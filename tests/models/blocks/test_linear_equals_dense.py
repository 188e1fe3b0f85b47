"""The exact linear forms equal the dense ones.

Outputs and gradients; with isolated nodes and masks.
"""

import pytest
import torch

from specvid.models.blocks import create_block, fused

CHANNELS = 10
FAMILY = {
    "snl": {},
    "cheb": {},
    "arma": {},
    "cayley": {},
    "heat": {},
    "spectral": {"function": torch.exp},
    "a2": {},
    "relu_dot": {},
    "nl": {"kernel": "dot"},
    "gsnl": {"kernel": "dot"},
}


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
    linear, dense = _pair(name, mode=mode, units=2, **FAMILY[name])
    x = torch.randn(2, CHANNELS, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if isolated:
        x[:, :, 1, :2] = 0  # relu(theta) = relu(phi) = 0: no neighbours, degree 0
    mask = torch.tensor([[True, True, False], [True, False, False]]) if masked else None
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
    unit = _pair("snl", channels=channels)[impl == "dense"].train(training)
    x = torch.randn(2, channels, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if isolated:
        x[:, :, 1, :2] = 0
        unit.affinity.phi.weight.data[1:4] = 0  # active theta without a partner: no neighbours, though not zero
    mask = torch.tensor([[True, True, False], [True, False, False]]) if masked else None
    ours = _outputs(unit, x, mask)
    calls = []
    monkeypatch.setattr("specvid.models.blocks.block.fuses", lambda *_: calls.append(1) or False)
    wanted = _outputs(unit, x, mask)
    assert calls
    for one, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * max(1.0, other.abs().max().item()))


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("form", [fused._merged, fused._without_signal], ids=lambda form: form.__name__)
def test_the_forms_of_inference_equal_the_plain_one(
    form: object, masked: bool, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, _ = _pair("snl", inner=4, value=7)
    x = torch.randn(2, CHANNELS, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = x.to(memory_format=torch.channels_last_3d) if masked else x
    if isolated:
        x[:, :, 1, :2] = 0
    mask = torch.tensor([[True, True, False], [True, False, False]]) if masked else None
    wanted, *_ = _outputs(unit, x, mask)
    monkeypatch.setattr(fused, "_cheaper_form", lambda *_: form)
    with torch.no_grad():
        torch.testing.assert_close(unit(x, mask), wanted.detach(), rtol=0, atol=1e-12)


def test_inference_takes_the_form_of_the_fewest_multiplications() -> None:
    """5 k + 4 k^2, 6 k + 2 k^2 or 6 k + 1 times C^2 N."""
    chosen = {
        k: fused._cheaper_form(torch.empty(512, int(512 * k)), int(1024 * k), 100_000) for k in (0.25, 0.5, 0.75, 1)
    }
    assert chosen == {0.25: None, 0.5: fused._merged, 0.75: fused._without_signal, 1: fused._without_signal}
    assert fused._cheaper_form(torch.empty(512, 256), 512, 784) is None  # W_1 K, of every sample, does not pay


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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("impl", ["linear", "dense"])
@pytest.mark.parametrize("name", ["snl", "cheb", "a2"])
def test_gradients_with_masks(name: str, impl: str, training: bool) -> None:
    torch.manual_seed(0)
    block = create_block(name, 4, dims=2, gate=0.7, impl=impl).double().train(training)
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True], [True, False]])
    parameters, names = tuple(block.parameters()), [key for key, _ in block.named_parameters()]

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x, mask))

    assert torch.autograd.gradcheck(run, (x, *parameters))
