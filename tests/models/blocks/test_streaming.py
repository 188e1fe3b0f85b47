"""Chunks along time equal the complete clip, or are refused with the reason."""

import pytest
import torch

from specvid.models.blocks import create_block

CHANNELS = 10
STREAMED = {
    "snl": {},
    "snl-stage": {"units": 3},
    "snl-time": {"mode": "t"},
    "snl-space": {"mode": "s"},
    "snl-factorised": {"mode": "t+s"},
    "snl-twice": {"recurrence": 2},
    "nl-space": {"mode": "s", "sub_sample": True},
    "cgnl-time": {"mode": "t", "norm": "none"},
    "a2-time": {"mode": "t", "units": 2},
    "spectral": {"function": torch.exp},
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
def test_chunks_equal_the_complete_clip(case: str) -> None:
    torch.manual_seed(0)
    block = create_block(case.split("-")[0], CHANNELS, gate=1.0, **STREAMED[case]).double().eval()
    clip = torch.randn(2, CHANNELS, 11, 3, 4, dtype=torch.float64)
    for lengths in ([11], [4, 4, 3], [1] * 11, [9, 2]):
        parts = torch.cat(list(block.stream(clip.split(lengths, dim=2))), dim=2)
        torch.testing.assert_close(parts, block(clip), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["snl", "a2", "relu_dot", "cgnl"])
def test_chunks_stay_finite_in_half_precision(name: str) -> None:
    torch.manual_seed(0)
    block = create_block(name, 8, dims=1, gate=1.0, norm="batch").eval()
    clip = torch.rand(1, 8, 50_176) * 10 + 5
    with torch.autocast("cpu", dtype=torch.float16):
        parts = torch.cat(list(block.stream(clip.split(25_088, dim=2))), dim=2)
        complete = block(clip)
    assert torch.isfinite(parts).all()
    assert (parts - complete).norm() / (complete - clip).norm() < 0.01


@pytest.mark.parametrize(
    ("name", "training", "once", "message"),
    [
        ("snl", True, False, "in training mode"),
        ("snl", False, True, "can be read only once"),
        ("nl", False, False, "has no sums of fixed size"),
        ("cc", False, False, "has no sums of fixed size"),
    ],
)
def test_chunks_that_cannot_equal_the_clip_are_refused(name: str, training: bool, once: bool, message: str) -> None:
    block = create_block(name, 16).train(training)
    chunks = torch.randn(1, 16, 4, 3, 3).split(2, dim=2)
    with pytest.raises(ValueError, match=message):
        list(block.stream(iter(chunks) if once else chunks))


@pytest.mark.parametrize("mode", ["st", "s", "t+s"])
def test_group_norm_cannot_be_streamed(mode: str) -> None:
    block = create_block("cgnl", 16, mode=mode).eval()
    with pytest.raises(ValueError, match="group norm"):
        list(block.stream(torch.randn(1, 16, 4, 3, 3).split(2, dim=2)))


def test_pooled_keys_cannot_be_streamed() -> None:
    block = create_block("nl", 16, kernel="dot", sub_sample=True).eval()
    with pytest.raises(ValueError, match="sub_sample=True pools"):
        list(block.stream([torch.randn(1, 16, 4, 4, 4)]))
