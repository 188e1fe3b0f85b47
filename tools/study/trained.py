"""What the row of a training is made of: outputs that are finite, and the block that adds most."""

from torch import Tensor

from specvid.pipelines.engine.block_use import BlockWatch


def strongest(watch: BlockWatch) -> dict[str, object]:
    """What a row says of its blocks: of the one that adds most, where its gates stand, and how much that is.

    Args:
        watch: of the trained network, after it ran on the test part.

    Returns:
        ``gate``, ``gate_max`` and ``share``; None where there is no block, or one without gates.
    """
    use = max(watch.report(), key=lambda one: one.share or 0, default=None)
    if use is None:
        return {"gate": None, "gate_max": None, "share": None}
    return {"gate": use.gate_mean, "gate_max": use.gate_max, "share": use.share}


def require_finite(outputs: Tensor, arm: str, seed: int) -> None:
    """Refuse to score what a training that diverged computes.

    Args:
        outputs: of the trained network.
        arm: what was trained.
        seed: of the training.

    Raises:
        ValueError: they are not all finite.
    """
    if not outputs.isfinite().all():
        raise ValueError(
            f"{arm}, seed {seed}: what the trained network computes is not finite. The training diverged: lower --lr, "
            "or leave this row out of --arms."
        )
