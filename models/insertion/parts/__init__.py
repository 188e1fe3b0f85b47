"""Parts: what can be inserted into a network like a block, but is no nonlocal block: temporal shift and pooling.

Unlike a fresh block, a part changes what the network computes at once. All take features (B, C, T, H, W) and the mask
(B, T) of real frames, and have no parameters.
"""

from specvid.models.insertion.parts import pooling, shift
from specvid.models.insertion.parts.registry import create_part, list_parts, part_options

__all__ = ["create_part", "list_parts", "part_options", "pooling", "shift"]
