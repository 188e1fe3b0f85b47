"""``from_official`` against outputs and gradients of the official modules (``tests/golden/blocks``)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from specvid.models.blocks import from_official

GOLDEN = Path(__file__).parents[2] / "golden" / "blocks"

CASES = {
    "snl1": ("snl", {}),
    "snl3": ("snl", {}),
    "nl1": ("nl", {}),
    "ns1": ("ns", {}),
    "a21": ("a2", {}),
    "dnl1": ("dnl", {}),
    "caylay1": ("caylay", {}),
    "caylay1-cayley": ("cayley", {}),
    "cgnl_g4_o2": ("cgnl", {"kernel": "gaussian", "scale": False}),
    "cc": ("cc", {}),
    "cc2": ("cc", {"recurrence": 2}),
    "a2": ("a2", {}),
    "snl_2019": ("snl_2019", {}),
    "snl_2019_s2": ("snl_2019", {"relu": True}),
    "gsnl_2019": ("gsnl_2019", {}),
    "gsnl_2019_s2": ("gsnl_2019", {"relu": True}),
    "nl3d_embedded": ("nl", {}),
    "nl3d_embedded_noscale": ("nl", {"scale": False}),
    "nl3d_gaussian": ("nl", {}),
    "nl3d_dot": ("nl", {"kernel": "dot"}),
    "nl3d_concat": ("nl", {}),
}


def _golden(file: str) -> tuple[dict, dict]:
    numbers = load_file(GOLDEN / f"{file}.safetensors")
    return numbers, {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}


@pytest.mark.parametrize("file", CASES)
def test_equals_the_official_module(file: str) -> None:
    numbers, state = _golden(file.split("-")[0])
    name, options = CASES[file]
    block = from_official(name, state, **options)
    x = numbers["x"].clone().requires_grad_()
    y = block(x)
    y.backward(numbers["grad_y"])
    for ours, theirs in ((y, numbers["y"]), (x.grad, numbers["grad_x"])):
        # Elsewhere relative to the size of the numbers: a21 reaches 172, where float32 has steps of 1.5e-5.
        size = 1.0 if file in ("snl1", "snl3", "nl1", "ns1") else max(1.0, theirs.abs().max().item())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * size)


def test_every_recorded_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {file.split("-")[0] for file in CASES}


@pytest.mark.parametrize("impl", ["linear", "dense"])
@pytest.mark.parametrize("file", ["snl1", "snl3"])
def test_both_implementations_equal_the_official_one(file: str, impl: str) -> None:
    numbers, state = _golden(file)
    block = from_official("snl", state, impl=impl)
    torch.testing.assert_close(block(numbers["x"]), numbers["y"], rtol=0, atol=1e-5)


def test_float64_agrees_to_the_rounding_of_the_golden_numbers() -> None:
    numbers, state = _golden("snl3")
    block = from_official("snl", state).double()
    torch.testing.assert_close(block(numbers["x"].double()).float(), numbers["y"], rtol=1e-5, atol=1e-5)


def test_prefix_of_data_parallel_is_taken_off() -> None:
    numbers, state = _golden("snl1")
    block = from_official("snl", {f"module.{key}": value for key, value in state.items()})
    torch.testing.assert_close(block(numbers["x"]), numbers["y"], rtol=0, atol=1e-5)


def test_a_block_of_images_serves_video() -> None:
    """At a single frame the video block computes what the image block does."""
    numbers, state = _golden("snl1")
    video = from_official("snl", state, dims=3)
    torch.testing.assert_close(video(numbers["x"].unsqueeze(2)).squeeze(2), numbers["y"], rtol=0, atol=1e-5)


def test_wrong_checkpoints_say_what_is_wrong() -> None:
    _, snl = _golden("snl1")
    _, nl = _golden("nl1")
    with pytest.raises(ValueError, match=r"official module 'snll' is unknown\. Did you mean 'snl'"):
        from_official("snll", snl)
    with pytest.raises(ValueError, match=r"unread keys \['stages\.0\.w_1\.weight'\]"):
        from_official("nl", snl)
    with pytest.raises(ValueError, match=r"'snl' has no key 'stages\.0\.w_1\.weight'"):
        from_official("snl", nl)
