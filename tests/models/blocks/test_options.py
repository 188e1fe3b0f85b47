"""Wrong names and values get one clear error: the thing, its value, the rule, the fix."""

from math import inf, nan

import pytest
import torch

from specvid.models.blocks import create_block, list_blocks
from specvid.models.blocks.registry import block_options


def test_the_list_is_the_family() -> None:
    named = ["nl", "ns", "a2", "cgnl", "cc", "dnl", "snl", "snl_2019", "gsnl", "cheb", "cayley", "arma", "heat"]
    assert set(named) <= set(list_blocks())


@pytest.mark.parametrize("name", list_blocks())
def test_a_value_of_another_kind_names_block_and_option(name: str) -> None:
    """``snl(gate=x)`` was "could not convert string to float: 'x'", ``gate=(1, 2)`` a traceback."""
    needed = {"function": lambda f: f} if name == "spectral" else {}
    for option, default in block_options(name).items():
        if isinstance(default, (int, float, str)) and not isinstance(default, bool):
            for value in ("x", (1, 2), {"a": 1}):
                with pytest.raises(ValueError, match=rf"\b{option}[= ]"):
                    create_block(name, 16, **needed, **{option: value})


@pytest.mark.parametrize("name", list_blocks())
def test_a_block_of_odd_values_is_refused_or_computes(name: str) -> None:
    """Tables of -3 rows were torch's RuntimeError, a gate of nan made every feature one."""
    x, needed = torch.ones(1, 8, 2, 4, 4), {"function": lambda f: f} if name == "spectral" else {}
    for option in block_options(name):
        for value in (-1, 0, 2.5, True, None, nan, inf):
            try:
                block = create_block(name, 8, **needed | {option: value})
            except ValueError:
                continue
            assert torch.isfinite(block.eval()(x)).all(), (option, value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_block("snll", 8), r"block 'snll' is unknown. Did you mean 'snl'"),
        (lambda: create_block("snl", 8, imp="dense"), r"option of block 'snl' 'imp' is unknown. Did you mean 'impl'"),
        (lambda: create_block("snl", 8, relu="no"), r"relu='no' of block 'snl' is not possible: it is True or False"),
        (lambda: create_block("snl", 8, gate="x"), r"gate='x' of block 'snl' is not possible: it is a number"),
        (lambda: create_block("snl", 8, gate=(1, 2)), r"gate=\(1, 2\) of block 'snl' is not possible: it is a num"),
        (lambda: create_block("snl", 8, gating=1), r"gating 1 is unknown. Choose from: channel, norm, scalar"),
        (lambda: create_block("snl", 8, gate=None), r"gate=None of block 'snl' is not possible: it is a number"),
        (lambda: create_block("gnconv", 8, scale=None), r"scale=None of block 'gnconv' is not possible"),
        (lambda: create_block("snl", 8, gate=nan), r"gate=nan of block 'snl' is not possible: it is a finite number"),
        (lambda: create_block("dnl", 8, scale=inf), r"scale=inf of block 'dnl' is not possible: it is a fin"),
        (lambda: create_block("bot", 8, frames=0), r"frames=0 of block 'bot' is not possible: it is an integer from 1"),
        (lambda: create_block("bot", 8, width=-4), r"width=-4 of block 'bot' is not possible: it is an integer from 1"),
        (lambda: create_block("bot", 8, height=2.5), r"height=2.5 of block 'bot' is not possible: it is an integer"),
        (lambda: create_block("snl", 8, order=2), r"option of block 'snl' 'order' is unknown"),
        (
            lambda: create_block("snl", 8, impl="quick"),
            r"impl='quick' is unknown: choose from 'auto', 'linear', 'dense'",
        ),
        (lambda: create_block("nl", 8, kernel="gausian"), r"kernel 'gausian' is unknown. Did you mean 'gaussian'"),
        (lambda: create_block("cheb", 8, order=0), r"order=0 is not possible"),
        (lambda: create_block("arma", 8, order=0), r"order=0 is not possible"),
        (lambda: create_block("cayley", 8, order=0), r"order=0 is not possible"),
        (lambda: create_block("heat", 8, order=9), r"order=9 is not possible"),
        (lambda: create_block("cgnl", 8, order=0), r"order=0 is not possible"),
        (lambda: create_block("cgnl", 8, groups=3), r"groups=3 does not divide"),
        (lambda: create_block("snl", 8, groups=3), r"groups=3 does not divide both"),
        (lambda: create_block("snl", 8, dims=4), r"dims=4 is not possible"),
        (lambda: create_block("snl", 8, dims=2, mode="t"), r"mode='t' needs time, which dims=2 does not have"),
        (lambda: create_block("snl", 8, dims=1, mode="t+s"), r"mode='t\+s' needs time and space"),
        (lambda: create_block("snl", 8, mode="space"), r"mode='space' is unknown"),
        (lambda: create_block("snl", 1), r"inner=0 of block 'snl' is not possible with 1 channels"),
        (lambda: create_block("snl", 8, units=0), r"units=0 is not possible for block 'snl'"),
        (lambda: create_block("snl", 8, units=True), r"units=True is not possible for block 'snl'"),
        (lambda: create_block("snl", 8, groups=0), r"groups=0 is not possible for block 'snl'"),
        (lambda: create_block("snl", "8"), r"channels='8' is not possible for block 'snl'"),
        (lambda: create_block("cheb", 8, order=1.5), r"order=1.5 is not possible for block 'cheb': it is an integer"),
        (lambda: create_block("cayley", 8, order="2"), r"order='2' is not possible for block 'cayley'"),
        (lambda: create_block("cc", 8, recurrence=1.5), r"recurrence=1.5 is not possible for block 'cc'"),
        (lambda: create_block("cayley", 8, form="published", order=2), r"order=2 goes with form='rational'"),
        (lambda: create_block("nl", 8, kernel="concat", impl="dense"), r"impl='dense' is unknown: choose from 'auto'"),
        (
            lambda: create_block("nl", 8, kernel="dot", scale=True),
            r"scale=True goes with kernel='embedded', not with 'dot'",
        ),
        (lambda: create_block("nl", 8, sub_sample=True, dims=1), r"sub_sample=True pools keys over space"),
        (lambda: create_block("nl", 8, sub_sample=True, mode="t+s"), r"sub_sample=True pools keys over space"),
        (lambda: create_block("cc", 8, recurrence=0), r"recurrence=0 is not possible"),
        (lambda: create_block("snl", 8, norm="layer"), r"norm='layer' is unknown"),
        (lambda: create_block("snl", 8, project=False), r"project=False needs one term"),
        (lambda: create_block("spectral", 8), r"function=None of block 'spectral'"),
        (lambda: create_block("spectral", 8, function=3), r"function=3 of block 'spectral'"),
        (lambda: create_block("spectral", 8, function=lambda f: 1.0), r"gives 1.0 for frequencies of shape"),
        (lambda: create_block("spectral", 8, function=lambda f: f.sum()), r"gives \(\) for frequencies of shape"),
        (lambda: create_block("spectral", 8, function=lambda f: (f < 1).double()), r"is not smooth enough on \[0, 2\]"),
    ],
)
def test_wrong_options(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
