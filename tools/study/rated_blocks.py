"""Blocks of a study's row, and how fast they and their gates learn: ``snl@features.14 x10 gate x100``."""

import math
import re
from dataclasses import dataclass

from specvid.models.insertion.grammar import split_blocks
from specvid.tools.study.frozen_network import Cut, check_blocks

_NAME = re.compile(r"(?P<blocks>\S.*?)(?: +x(?P<block_lr>\S+))?(?: +gate x(?P<gate_lr>\S+))?")


@dataclass(frozen=True)
class RatedBlocks:
    """Blocks (empty: none), and the factors on their rates and on those of their gates.

    Attributes:
        blocks: as ``create_model`` takes them, or without a place.
        block_lr: of the rate of what is no block.
        gate_lr: of the same; None: that of the study, or of the block.
    """

    blocks: str = ""
    block_lr: float = 1.0
    gate_lr: float | None = None

    @property
    def name(self) -> str:
        """The blocks or ``bare``, and the factors on their rates that are given."""
        fast = "" if self.block_lr == 1 else f" x{self.block_lr:.15g}"
        return (self.blocks or "bare") + fast + (f" gate x{self.gate_lr:.15g}" if self.gate_lr else "")

    @classmethod
    def of(cls, name: str, cut: Cut) -> "RatedBlocks":
        """The blocks of a name.

        Args:
            name: blocks or ``bare``, and factors on the rates, as `name` has them.
            cut: the network, and where it is divided.

        Returns:
            The blocks and their rates.

        Raises:
            ValueError: no such block, option or place, or the place is in what stands still.
        """
        found = _NAME.fullmatch(name.strip())
        if not found or (found["blocks"] == "bare" and (found["block_lr"] or found["gate_lr"])):
            raise ValueError(
                f"arm {name!r} must be 'bare', or blocks and the factors on their rates: 'snl', 'snl x10 gate x100'."
            )
        if found["blocks"] == "bare":
            return cls()
        for block in split_blocks(found["blocks"]):
            if found_word := re.search(r" ([^ ()]+)$", block.strip()):
                raise ValueError(
                    f"arm {name!r}: {found_word[1]!r} is no factor on a rate: 'x10' stands for that of the blocks, "
                    "'gate x100' behind it for that of their gates; blocks are parted by commas."
                )
        factors = [_factor(found[rate], name) for rate in ("block_lr", "gate_lr")]
        check_blocks(cut, found["blocks"])
        return cls(found["blocks"], factors[0] or 1.0, factors[1])


def _factor(text: str | None, name: str) -> float | None:
    """The factor on a rate in an arm's name, if there is one."""
    if text is None:
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ValueError(f"arm {name!r}: x{text} must be a finite number greater than 0, a factor on the rate.")
    return factor
