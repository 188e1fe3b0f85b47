"""Blocks of a row and their rates go by a name."""

import re

import pytest

from specvid.tools.study.frozen_blocks import ARMS
from specvid.tools.study.frozen_network import CUTS
from specvid.tools.study.rated_blocks import RatedBlocks


def test_arms_by_their_names() -> None:
    cut = CUTS["mobilenet_v2"]
    assert [RatedBlocks.of(arm.name, cut) for arm in ARMS] == list(ARMS)
    late = "snl(gate=0.1)@features.16"
    assert RatedBlocks.of(f"{late} x2.5 gate x.5", cut) == RatedBlocks(late, 2.5, 0.5)
    for name, says in {
        "": "arm '' must be 'bare', or blocks",
        "bare x10": "arm 'bare x10' must be 'bare', or blocks",
        "snl x": "'snl x'",
        "snl gate x-1": "arm 'snl gate x-1': x-1 must be a finite number greater than 0",
        "snl gate x0": "arm 'snl gate x0': x0 must be",
        "snl x1e999": "x1e999 must be",
        "snl xten": "xten must be",
        "snl@features.19": "features.19",
        "snl y10": "arm 'snl y10': 'y10' is no factor on a rate: 'x10' stands for that of the blocks",
        "snl gate": "'gate' is no factor",
        "snl, gc 10 gate x100": "'10' is no factor",
        "snl@features.13": "puts a block at features.snl_before_13, which is not in what learns: features.14, ",
        "snl@features.3, snl@features.14": "puts a block at features.snl_before_3,",
        "snl@features.3.conv": "puts a block at features.3.",
        "snl@end": "which is not in what learns",
        "snl@end, gc@features.14": "which is not in what learns",
        "snl@0": "which is not in what learns",
    }.items():
        with pytest.raises(ValueError, match=re.escape(says)):
            RatedBlocks.of(name, cut)


def test_arms_are_told_apart_by_their_names() -> None:
    cut = CUTS["mobilenet_v2"]
    for name in ("snl x1234567", "snl x1234568", "snl x1e-07 gate x0.1"):
        assert RatedBlocks.of(RatedBlocks.of(name, cut).name, cut) == RatedBlocks.of(name, cut)
    assert RatedBlocks.of("snl x1234567", cut).name != RatedBlocks.of("snl x1234568", cut).name
    assert RatedBlocks.of(" snl  x10 ", cut).name == "snl x10"
