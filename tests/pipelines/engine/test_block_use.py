"""Where gates stand after a training, what a block adds to the features, and the warning of an unused one."""

import logging

import pytest
import torch

from specvid.models.factory import create_model
from specvid.pipelines.engine.block_use import UNUSED, BlockWatch, announce_use, mean_gates, strengths


def watched(blocks: str, gate: float | None = None, passes: int = 1):
    torch.manual_seed(0)
    model = create_model("r3d_tiny", blocks=blocks, num_classes=3).eval()
    if gate is not None:
        for strength in strengths(model):
            torch.nn.init.constant_(strength, gate)
    with BlockWatch(model) as watch, torch.no_grad():
        for _ in range(passes):
            model(torch.randn(2, 3, 8, 40, 40))
    return model, watch.report()


def test_a_fresh_block_is_unused_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    _, (block,) = watched("snl@layer2.-1")
    assert (block.share, block.gate_start, block.gate_mean, block.used) == (0.0, 0.0, 0.0, False)
    with caplog.at_level(logging.INFO, logger="specvid"):
        logging.getLogger("specvid").propagate = True
        announce_use([block])
    assert "was never used" in caplog.text
    assert "--gate-lr" in caplog.text


@pytest.mark.parametrize(("gate", "warns"), [(0.5, False), (40.0, True)])
def test_a_gate_that_ran_away_is_said(gate: float, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It went to -18 at a hundred times a high rate, and the network guessed; only the number said so."""
    _, (block,) = watched("snl@layer2.-1", gate=gate)
    with caplog.at_level(logging.INFO, logger="specvid"):
        logging.getLogger("specvid").propagate = True
        announce_use([block])
    assert ("(more than 500 %), which leaves little of them. Lower --gate-lr or --block-lr" in caplog.text) is warns
    assert block.overwhelms is warns


def test_the_share_is_that_of_the_features() -> None:
    """Against the block run by hand on what it was given."""
    model, (block,) = watched("snl@layer2.-1", gate=0.7)
    inserted = model.get_submodule(block.place)
    seen = []
    hook = inserted.register_forward_hook(lambda _, args, output: seen.append((args[0], output)))
    torch.manual_seed(0)
    create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=3)  # the same clip as before comes next
    with torch.no_grad():
        model(torch.randn(2, 3, 8, 40, 40))
    hook.remove()
    ((x, y),) = seen
    assert block.share == pytest.approx(((y - x).square().mean() / x.square().mean()).sqrt().item(), rel=1e-4)
    assert block.share > UNUSED
    assert (block.gate_mean, block.gate_change) == (pytest.approx(0.7), pytest.approx(0.7))
    assert block.used


@pytest.mark.parametrize("gating", ["scalar", "channel"])
def test_the_start_of_a_gate_is_that_of_its_options(gating: str) -> None:
    model, (block,) = watched(f"nl(gate=0.5, gating={gating})@layer2.-1")
    assert (block.gate_start, block.gate_change) == (0.5, 0.0)
    with torch.no_grad():
        next(strengths(model))[0] = -1.0
    with BlockWatch(model) as watch:
        pass
    (block,) = watch.report()
    assert (block.share, block.used) == (None, True)  # not run: nothing is claimed
    assert (block.gate_max, block.gate_change) == (1.0, 1.5)


def test_channel_blocks_have_a_share_and_no_gate_and_parts_are_left_out() -> None:
    _, (block,) = watched("se@layer2.-1, tsm@residual", passes=10)
    assert (block.block, block.share, block.gate_mean) == ("se", 0.0, None)


def test_the_norm_in_the_place_of_a_gate() -> None:
    _, (block,) = watched("nl(gating=norm)@layer2.-1", gate=0.25)
    assert (block.gate_start, block.gate_mean) == (0.0, 0.25)
    assert block.share > 0


def test_the_gates_of_an_epoch_by_the_place_of_their_block() -> None:
    model, blocks = watched("snl@layer2.-1, nl(gating=channel)@layer1.-1, se@layer2.0", gate=0.25)
    assert mean_gates(model) == {block.place: 0.25 for block in blocks if block.block != "se"}
    assert mean_gates(create_model("r3d_tiny", num_classes=3)) == {}
