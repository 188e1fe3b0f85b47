"""Norms and gates of nonlocal blocks, put into the weights of the block; blocks that are the identity, left out."""

from torch import nn

from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.factorised import Factorised
from specvid.models.blocks.unit import Unit
from specvid.models.insertion.inserted_block import InsertedBlock


def fold_blocks(model: nn.Module) -> tuple[int, tuple[str, ...]]:
    """Fold all nonlocal blocks of a network, in place.

    Args:
        model: in eval mode.

    Returns:
        How many units were folded, and the names of the inserted blocks that were left out.
    """
    left_out = []
    for name, inserted in model.named_modules():
        if isinstance(inserted, InsertedBlock) and _is_identity(inserted.block):
            inserted.block = nn.Identity()
            left_out.append(name)
    units = [module for module in model.modules() if isinstance(module, Unit)]
    return sum(unit.fold() for unit in units), tuple(left_out)


def _is_identity(block: nn.Module) -> bool:
    """Whether a block gives back what it gets, whatever that is: every branch is multiplied by 0."""
    if isinstance(block, Factorised):
        return all(map(_is_identity, block.children()))
    return isinstance(block, NonlocalBlock) and all(unit.residual and not unit.gate.any() for unit in block.units)
