"""Published placements: where papers and model zoos put their blocks, by a name that stands for a string of ``blocks``.

``blocks="i3d_nln"`` is ``blocks="nl@res3.2, nl@res3.end, ..."``. The names of stages are those of a ResNet; whether a
block stands before the last child of a stage (``res4``) or after it (``res4.end``) is part of what was published.
"""

from dataclasses import dataclass

_ALTERNATE = ("res3.2", "res3.end", "res4.2", "res4.4", "res4.end")  # behind every second block of res3 and res4


@dataclass(frozen=True)
class Placement:
    """Blocks at published places.

    Args:
        blocks: in the grammar of insertions.
        source: paper, or repository and configuration.
    """

    blocks: str
    source: str


def _at(block: str, places: tuple[str, ...]) -> str:
    """The same block at several places."""
    return ", ".join(f"{block}@{place}" for place in places)


_EVERY_RES3_RES4 = ("res3.1", "res3.2", "res3.3", "res3.end", *(f"res4.{i}" for i in range(1, 6)), "res4.end")

PLACEMENTS: dict[str, Placement] = {
    "i3d_nln": Placement(
        _at("nl", _ALTERNATE),
        "SlowFast I3D_NLN_8x8_R50 and C2D_NLN_8x8_R50, video-nonlocal-net's 5 blocks, mmaction2 I3D-NL (1711.07971)",
    ),
    "nl_1": Placement("nl@res4", "1711.07971, table 2a: one block before the last residual block of res4"),
    "nl_10": Placement(
        _at("nl", _EVERY_RES3_RES4), "1711.07971, table 2c: one behind every residual block of res3, res4"
    ),
    "snl_r50": Placement("snl@res4", "SNL_ICCV2021 ResNet, nl_nums=1: before the last residual block of layer3"),
    "snl_i3d": Placement("snl_2019@res4", "spectral-nonlocal-block I3d_snl: before the last residual block of layer3"),
    "cgnl_r50": Placement("cgnl@res4", "cgnl-network.pytorch ResNet, nl_nums=1: before the last block of layer3"),
}
