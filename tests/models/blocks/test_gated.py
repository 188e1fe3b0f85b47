"""The end of a unit as one function: the numbers of batch norm, ReLU, gate and sum one after the other."""

import copy

import pytest
import torch

from specvid.models.blocks import create_block, gated
from specvid.models.blocks.gated import can_gate, gated_norm
from specvid.models.blocks.norms import BatchNorm

GATE = torch.ones(1)
NAMES = ("result", "x", "y", "weight", "bias", "gate")


@pytest.fixture
def norm() -> BatchNorm:
    torch.manual_seed(0)
    norm = BatchNorm(6).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("at_once", [1, 70, 10**6], ids=lambda n: f"{n} elements")
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("gates", [1, 6])
def test_equals_its_parts(
    norm: BatchNorm, relu: bool, at_once: int, momentum: float | None, gates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gated, "IN_CACHE", at_once)
    norm.momentum = momentum
    x, y, grad = torch.randn(3, 3, 6, 7, dtype=torch.float64)
    gate = torch.linspace(0.7, -0.4, gates, dtype=torch.float64)

    def parts(x: torch.Tensor, y: torch.Tensor, norm: BatchNorm, gate: torch.Tensor) -> torch.Tensor:
        normed = norm(y)
        return x + gate[:, None] * (normed.relu() if relu else normed)

    results = []
    for function in (parts, lambda *of: gated_norm(*of, relu=relu)):
        own, leaves = copy.deepcopy(norm), [tensor.clone().requires_grad_() for tensor in (x, y, gate)]
        for _ in range(2):  # the running statistics move twice
            result = function(leaves[0], leaves[1], own, leaves[2])
        result.backward(grad)
        results.append((own, [result, leaves[0].grad, leaves[1].grad, own.weight.grad, own.bias.grad, leaves[2].grad]))
    (norm_a, expected), (norm_b, found) = results
    for name, a, b in zip(NAMES, expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
    for name, value in norm_a.named_buffers():
        torch.testing.assert_close(norm_b.get_buffer(name), value, rtol=1e-12, atol=1e-12)


def test_a_block_takes_it_in_training_only(norm: BatchNorm) -> None:
    x = torch.randn(2, 6, 5, dtype=torch.float64)
    assert can_gate(x, x, norm, GATE)
    assert not can_gate(x, x.float(), norm, GATE)  # autocast: two precisions
    assert not can_gate(x, x, torch.nn.Identity(), GATE)
    assert not can_gate(x[:1, :, :1], x[:1, :, :1], norm, GATE)  # one value a channel, which batch norm refuses
    with torch.no_grad():
        assert not can_gate(x, x, norm, GATE)
    assert not can_gate(x, x, norm.eval(), GATE)


def test_one_value_a_channel_is_refused_as_batch_norm_does() -> None:
    block = create_block("snl", 8, dims=1)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        block(torch.randn(1, 8, 1))


@pytest.mark.parametrize("name", ["snl", "nl", "cheb"])
def test_gates_of_a_channel_at_one_value_equal_one_gate(name: str) -> None:
    torch.manual_seed(0)
    one = create_block(name, 8, gate=0.5)
    each = create_block(name, 8, gate=0.5, gating="channel")
    each.load_state_dict(one.state_dict() | {"units.0.gate": torch.full((8,), 0.5)})
    x = torch.randn(2, 8, 2, 3, 3)
    for block in (one.train(), each.train(), one.eval(), each.eval()):
        block(x)
    torch.testing.assert_close(one(x), each(x))


def test_the_norm_as_a_gate_starts_as_the_identity_and_learns() -> None:
    """The nonlocal block's own form: no ReLU after a norm whose weight starts at 0."""
    block = create_block("nl", 8, gating="norm")
    assert "units.0.gate" not in block.state_dict()
    x = torch.randn(2, 8, 2, 3, 3)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.units[0].strength is block.units[0].norm.weight
    assert block.units[0].strength.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gating": "chanel"}, "Did you mean 'channel'"),
        ({"gating": "norm"}, "never learns"),
        ({"gating": "norm", "relu": False, "norm": "none"}, "norm='batch' or 'group'"),
    ],
)
def test_mistakes_of_gating(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_block("snl", 8, **options)
