"""Our ``nl`` against ``mmcv.cnn.NonLocal3d`` with the same weights: every mode, plain and with subsampling."""

import pytest
import torch
from torch import Tensor, nn

import specvid
from specvid.models.blocks import from_official

# mmcv's mode -> our options
MODES = {
    "embedded_gaussian": {"kernel": "embedded", "scale": True},
    "gaussian": {"kernel": "gaussian"},
    "dot_product": {"kernel": "dot"},
    "concatenation": {"kernel": "concat"},
}
OURS = {
    "g": "units.0.g",
    "conv_out": "units.0.weights.0",
    "theta": "affinity.theta",
    "phi": "affinity.phi",
    "concat_project": "affinity.project",
}


def pair(mode: str, *, sub_sample: bool, **options: bool) -> tuple[nn.Module, nn.Module]:
    """mmcv's module with random weights, and ours with the same ones; float64."""
    cnn = pytest.importorskip("mmcv.cnn", reason="pip install 'specvid[mmaction]'")
    torch.manual_seed(0)
    theirs = cnn.NonLocal3d(16, mode=mode, sub_sample=sub_sample, zeros_init=False, **options).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    if mode == "concatenation":  # it divides the ReLU's output in place, which its own backward pass then refuses
        theirs.concat_project.register_forward_hook(lambda module, args, output: output.clone())
    ours = specvid.create_block("nl", 16, sub_sample=sub_sample, norm="none", bias=True, gate=1.0, **MODES[mode])
    ours = ours.double()
    state = {}
    for name, tensor in theirs.state_dict().items():  # e.g. phi.0.conv.weight, (8, 16, 1, 1, 1)
        part, parameter = name.split(".")[0], name.rsplit(".", 1)[1]
        flat = tensor if parameter == "bias" else tensor.flatten(2)
        state[f"{OURS[part]}.{parameter}"] = flat
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert missing == ["units.0.gate"]
    assert not unexpected
    return theirs.eval(), ours.eval()


def run(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output, and gradient of the input."""
    x = x.clone().requires_grad_()
    y = module(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return y.detach(), x.grad


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_outputs_and_gradients_are_those_of_mmcv(mode: str, sub_sample: bool) -> None:
    theirs, ours = pair(mode, sub_sample=sub_sample)
    x = torch.randn(2, 16, 3, 4, 6, dtype=torch.float64)
    for got, want in zip(run(ours, x), run(theirs, x), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)
        assert (want - x).abs().max() > 0.1  # the block does something


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_checkpoints_of_mmcv_are_read(mode: str, sub_sample: bool) -> None:
    theirs, _ = pair(mode, sub_sample=sub_sample)
    options = {"kernel": "dot"} if mode == "dot_product" else {}  # which the weights do not determine
    ours = from_official("nl", theirs.state_dict(), **options).double()
    x = torch.randn(2, 16, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)  # ours holds the weights in float32


def test_without_the_scale_too() -> None:
    theirs, ours = pair("embedded_gaussian", sub_sample=False, use_scale=False)
    x = torch.randn(2, 16, 3, 4, 6, dtype=torch.float64)
    assert (run(ours, x)[0] - run(theirs, x)[0]).abs().max() > 1e-3  # the option matters
    ours = specvid.create_block("nl", 16, norm="none", bias=True, gate=1.0).double().eval()
    ours.load_state_dict(pair("embedded_gaussian", sub_sample=False)[1].state_dict())
    torch.testing.assert_close(run(ours, x), run(theirs, x), rtol=1e-5, atol=1e-5)
