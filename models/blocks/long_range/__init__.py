"""Long-range blocks that are no affinity x graph filter: y = x + W f(x), one file per f.

They start as the identity: W and its bias are 0. ``identity=False`` starts with random ones; ``project=False`` and
``residual=False`` leave out W and x, for published modules that have neither.
"""

from specvid.models.blocks.long_range import bot, dgmn2, gnconv, halo, hamburger, pdc

__all__ = ["bot", "dgmn2", "gnconv", "halo", "hamburger", "pdc"]
