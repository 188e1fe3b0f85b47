"""mmaction2's backbones as ours: ``mmaction:ResNet3d``, or ``mmaction:path/to/config.py`` (extra ``mmaction``).

`families` lists the classes and what is known of each, `network` builds one as mmaction2 does, `config`
reads its config files, `build` makes a `Backbone` of all that. Nothing here imports mmaction2 before it is asked for.
"""

from specvid.models.backbones.mmaction2.build import build_mmaction

__all__ = ["build_mmaction"]
