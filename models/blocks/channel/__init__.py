"""Channel blocks: every channel is rescaled, or shifted, by what the block sees of all positions. One file per block.

They start as the identity: a gate is 2σ(z) with z = 0, since σ alone halves all features. ``identity=False`` is the
paper's form, σ(z) with random weights; published weights are of this form.
"""

from specvid.models.blocks.channel import cbam, eca, gc, ge, se

__all__ = ["cbam", "eca", "gc", "ge", "se"]
