"""``specvid models``."""

from dataclasses import dataclass

from specvid.pipelines.cli.verb import Verb

HELP = """\
specvid models: the backbones and blocks there are

Prints each backbone with its parameters, the clip it is made for and its published weights, and the
names of the blocks that can be inserted.

Example:
  specvid models
"""


@dataclass(frozen=True)
class ModelsOptions:
    """Options of ``specvid models``."""


def run(options: ModelsOptions) -> int:
    import torch

    from specvid.eval.report import to_text
    from specvid.models.backbones.registry import list_backbones
    from specvid.models.blocks import list_blocks
    from specvid.models.factory import create_model

    rows = [["backbone", "kind", "parameters", "features", "clip", "weights"]]
    for name in list_backbones():
        with torch.device("meta"):
            model = create_model(name)
        millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        spec = model.input
        size = "x".join(map(str, spec.size)) if isinstance(spec.size, tuple) else str(spec.size)
        clip = f"{spec.frames} frames x {spec.stride}, {size} px"
        kind = "3D" if model.dims == 3 else "per frame"
        published = ", ".join(model.pretrained) or "-"
        rows.append([name, kind, f"{millions:.2f} M", str(model.feature_dim), clip, published])
    print(to_text(rows))
    print(f"\nblocks: {', '.join(list_blocks())}")
    return 0


MODELS = Verb("models", HELP, ModelsOptions, run)
