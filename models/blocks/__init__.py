"""Blocks: affinity x graph filter, and the channel and long-range blocks that they are compared with.

``create_block`` builds a block, ``list_blocks`` names them, ``block_options`` are what each can be built with,
``from_official`` builds one from published weights.
"""

from specvid.models.blocks import channel, family, long_range
from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.official import from_official
from specvid.models.blocks.registry import block_options, create_block, list_blocks

__all__ = [
    "NonlocalBlock",
    "block_options",
    "channel",
    "create_block",
    "family",
    "from_official",
    "list_blocks",
    "long_range",
]
