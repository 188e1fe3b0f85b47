"""transformers' encoders as ours: ``hf:FOLDER``, or ``hf:owner/name`` on the Hub (extra ``specvid[hf]``).

`families` lists the architectures and what is known of each, `network` runs one layer after the other, `folder` reads a
folder in the Hub's format, `preprocessing` its normalisation and sizes, `build` makes a `Backbone` of all that. Nothing
here imports transformers before it is asked for.
"""

from specvid.models.backbones.hf.build import build_hf

__all__ = ["build_hf"]
