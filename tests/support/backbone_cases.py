"""Every backbone with a small clip that it takes and three places: before, inside and at the end of a stage."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mmaction_families
import pytest
import torch

import specvid
from specvid.models import create_model
from specvid.models.video_model import VideoModel

Places = tuple[str, str, str]
CLASSES = 5


@dataclass(frozen=True)
class BackboneCase:
    """``name`` and ``options``: for `create_model`; ``needs``: a package of an extra, with the extra's name."""

    name: str
    places: Places
    frames: int = 4
    size: int = 32
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, str] = ("", "")

    def skip_without_extra(self) -> None:
        """Skips the test, with the command that installs what is missing."""
        package, extra = self.needs
        if package and importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install 'specvid[{extra}]'")

    def create(self, blocks: str = "", **more: Any) -> VideoModel:
        """The model, always from the same seed."""
        torch.manual_seed(0)
        return create_model(self.name, blocks=blocks, num_classes=CLASSES, **{**self.options, **more})

    def clip(self, batch: int = 2) -> torch.Tensor:
        shape = (batch, 3, self.frames, self.size, self.size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))


STAGE: Places = ("layer3.0", "layer3.-1", "layer3.end")
FEATURES: Places = ("features.5.0", "features.5.-1", "features.5.end")
_MVIT = {"places": ("blocks.8", "blocks.8.attn", "blocks.13.end"), "options": {"frames": 4, "size": 32}}
RESNETS = ("r3d_18", "mc3_18", "r2plus1d_18", "resnet", "resnet3d_", "resnext", "wide_resnet", "i3d_r")
# how the names of a family begin -> what its cases have; the longest beginning counts
FAMILIES: dict[str, dict[str, Any]] = {
    "r3d_tiny": {"places": ("layer2.0", "layer2.-1", "layer2.end")},
    **{start: {"places": STAGE} for start in RESNETS},
    "s3d": {"places": ("features.8", "Mixed_4f", "features.end"), "frames": 16},
    "i3d_inception": {"places": ("Mixed_4b", "Mixed_4f", "Mixed_4f.end"), "frames": 16},
    "mobilenet_v2": {"places": ("features.11", "features.13", "features.13.end")},
    "mobilenet_v3_small": {"places": ("features.4", "features.7", "features.8.end")},
    "mobilenet_v3_large": {"places": ("features.7", "features.10", "features.12.end")},
    "efficientnet": {"places": FEATURES},
    "convnext": {"places": FEATURES},
    "densenet": {
        "places": ("features.denseblock3", "features.denseblock3.denselayer3.norm1", "features.denseblock3.end")
    },
    "regnet": {"places": ("res4.0", "res4.-1", "res4.end")},
    "swin_": {"places": ("res4.0", "res4.-1", "res4.end"), "size": 64},
    "swin3d": {"places": ("res4.0", "res4.-1", "res4.end"), "size": 64},
    "mvit": _MVIT,
    "g_ghost_regnet": {"places": ("layer3.layers.0", "layer3.layers.-1", "layer3.end")},
    "ghostnet": {"places": ("blocks.6.0", "blocks.6.-1", "blocks.6.end")},
    "hornet": {"places": ("stages.2.0", "stages.2.-1", "stages.2.end")},
    "osnet": {"places": ("conv3.0", "conv3.-1", "conv4.end"), "size": 64},
}


def registered() -> dict[str, BackboneCase]:
    """A case of each of `specvid.list_backbones`. ``KeyError`` for one of no known family: give it one above."""
    cases = {}
    for name in specvid.list_backbones():
        fitting = [start for start in FAMILIES if name.startswith(start)]
        if not fitting:
            raise KeyError(f"backbone {name!r} belongs to none of the families of tests/support/backbone_cases.py")
        cases[name] = BackboneCase(name, **FAMILIES[max(fitting, key=len)])
    return cases


def of_mmaction() -> dict[str, BackboneCase]:
    """A case of each of mmaction2's families."""
    needs = ("mmaction", "mmaction")
    return {
        f"mmaction-{kind}": BackboneCase(
            f"mmaction:{case.name}", case.places, case.frames, case.size, case.options, needs
        )
        for kind, case in mmaction_families.CASES.items()
    }


_TIMM = {"needs": ("timm", "timm")}
OTHERS = {
    "inflated-resnet18": BackboneCase("inflated:resnet18", STAGE),
    "inflated-mobilenet_v2": BackboneCase("inflated:mobilenet_v2", FAMILIES["mobilenet_v2"]["places"]),
    "inflated-efficientnet_b0": BackboneCase("inflated:efficientnet_b0", FEATURES),
    "timm-resnet18": BackboneCase("timm:resnet18", STAGE, **_TIMM),
    "timm-vit": BackboneCase(
        "timm:vit_tiny_patch16_224", ("blocks.6", "blocks.6.attn", "blocks.6.end"), options={"img_size": 32}, **_TIMM
    ),
    "timm-swin": BackboneCase(
        "timm:swin_tiny_patch4_window7_224",
        ("layers.2.blocks.0", "layers.2.blocks.-1", "layers.2.blocks.end"),
        size=224,
        frames=1,
        **_TIMM,
    ),
    "timm-efficientnet": BackboneCase(
        "timm:efficientnet_lite0", ("blocks.4.0", "blocks.4.-1", "blocks.4.end"), **_TIMM
    ),
}
_HF = {"needs": ("transformers", "hf"), "places": ("layers.0", "layers.-1", "layers.end"), "frames": 4, "size": 32}
_SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
_TINY = {**_SMALL, "num_frames": 4, "image_size": 32, "intermediate_size": 32, "as_classifier": True}
_TOWER = {"image_size": 32, "layers": 3, "width": 16, "head_width": 8, "patch_size": 16}
_READS_ONE = ("layers.0", "layers.1", "layers.-1")  # a class token: no block behind the last layer
_JEPA = {"frames_per_clip": 4, "crop_size": 32, "mlp_ratio": 2, "num_pooler_layers": 1, "as_classifier": True}
_DINO = {"size": 32, "num_register_tokens": 1, "intermediate_size": 32}
OTHERS |= {
    "hf-videomae": BackboneCase("hf:videomae", **{**_HF, "options": _TINY}),
    "hf-vjepa2": BackboneCase("hf:vjepa2", **{**_HF, "options": {**_SMALL, **_JEPA}}),
    "hf-timesformer": BackboneCase("hf:timesformer", **{**_HF, "places": _READS_ONE, "options": _TINY}),
    "hf-vivit": BackboneCase("hf:vivit", **{**_HF, "places": _READS_ONE, "options": _TINY}),
    "hf-dinov2": BackboneCase(
        "hf:dinov2", **{**_HF, "size": 28, "options": {**_SMALL, "size": 28, "mlp_ratio": 2, "as_classifier": True}}
    ),
    "hf-dinov3": BackboneCase("hf:dinov3_vit", **{**_HF, "places": _READS_ONE, "options": {**_SMALL, **_DINO}}),
    "clip-vit": BackboneCase(
        "clip:images",
        **{**_HF, "places": _READS_ONE, "needs": ("open_clip", "hf")},
        options={"embed_dim": 12, "vision": _TOWER},
    ),
}
CASES = {**registered(), **of_mmaction(), **OTHERS}
