"""open_clip's models as ours, per frame: ``clip:FOLDER``, ``clip:owner/name``, ``clip:ViT-B-32/TAG`` (extra ``hf``).

`folder` reads config and weights, `images` takes the image tower apart, `build` makes a `Backbone` of it, with the text
tower beside it. Nothing here imports open_clip before it is asked for.
"""

from specvid.models.backbones.clip.build import build_clip

__all__ = ["build_clip"]
