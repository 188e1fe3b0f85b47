"""Small networks of each of mmaction2's families, as ``create_model`` takes them and as mmaction2's recognisers."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from trained_norms import randomise_norms

from specvid.models.backbones.mmaction2.families import FAMILIES

CLASSES = 5
# as in mmaction2's own configs; its defaults for these two classes ask for pretrained weights
NOT_PRETRAINED = {"pretrained": None, "pretrained2d": False}
RESNET2PLUS1D = {"depth": 18, "norm_cfg": {"type": "BN3d", "eps": 1e-3}, "temporal_strides": [1, 2, 2, 2]}
CSN = {"depth": 50, "with_pool2": False, "bottleneck_mode": "ir"}
SLOWFAST = {
    "resample_rate": 4,
    "speed_ratio": 4,
    "slow_pathway": {
        "type": "resnet3d",
        "depth": 18,
        "base_channels": 32,
        "lateral": True,
        "conv1_kernel": [1, 7, 7],
        "fusion_kernel": 3,
        "inflate": [0, 0, 1, 1],
    },
    "fast_pathway": {"type": "resnet3d", "depth": 18, "base_channels": 4, "lateral": False, "conv1_kernel": [5, 7, 7]},
}
SWIN = {
    "arch": {"embed_dims": 12, "depths": [2, 2, 2, 1], "num_heads": [1, 2, 3, 4]},
    "window_size": [2, 3, 3],
    "drop_path_rate": 0.0,
}
TIMESFORMER = {
    "num_frames": 4,
    "img_size": 32,
    "patch_size": 16,
    "embed_dims": 48,
    "num_heads": 4,
    "num_transformer_layers": 2,
}


@dataclass(frozen=True)
class Case:
    """``name``: of the class; ``places``: before, inside and at the end of a stage."""

    name: str
    options: dict[str, Any]
    head: str
    frames: int = 4
    size: int = 32
    places: tuple[str, str, str] = ("layer3.0", "layer3.-1", "layer3.end")
    head_options: dict[str, Any] = field(default_factory=dict)

    @property
    def dims(self) -> int:
        return FAMILIES[self.name].dims

    def clip(self, batch: int = 2, seed: int = 1) -> torch.Tensor:
        return torch.randn(batch, 3, self.frames, self.size, self.size, generator=torch.Generator().manual_seed(seed))


_TSM = {"num_segments": 4}
_TRANSFORMER = ("transformer_layers.layers.0", "transformer_layers.layers.-1", "transformer_layers.layers.0.end")
CASES = {
    "tsn": Case("ResNet", {"depth": 18}, "TSNHead"),
    "tsn_mobilenet": Case("MobileNetV2", {"widen_factor": 0.25}, "TSNHead"),
    "tsm": Case("ResNetTSM", {"depth": 18, **_TSM}, "TSMHead", head_options=_TSM),
    "tsm_mobilenet": Case("MobileNetV2TSM", {"widen_factor": 0.25, **_TSM}, "TSMHead", head_options=_TSM),
    "tin": Case("ResNetTIN", {"depth": 18, **_TSM}, "TSMHead", head_options=_TSM),
    "tanet": Case("TANet", {"depth": 50, **_TSM}, "TSMHead", head_options=_TSM),
    "i3d": Case("ResNet3d", {"depth": 18, "base_channels": 16}, "I3DHead"),
    "slowonly": Case("ResNet3dSlowOnly", {"depth": 18, "base_channels": 16}, "I3DHead"),
    "csn": Case("ResNet3dCSN", {"base_channels": 16, **CSN, **NOT_PRETRAINED}, "I3DHead"),
    "r2plus1d": Case("ResNet2Plus1d", {"base_channels": 16, **RESNET2PLUS1D, **NOT_PRETRAINED}, "I3DHead", 8),
    "slowfast": Case(
        "ResNet3dSlowFast", SLOWFAST, "SlowFastHead", 8, 32, ("res4.0", "fast_path.layer3.-1", "slow_path.layer3.end")
    ),
    "x3d": Case("X3D", {"gamma_d": 1.0}, "X3DHead"),
    "c3d": Case(
        "C3D",
        {"out_dim": 2048},
        "I3DHead",
        16,
        32,
        ("conv4a", "conv4b", "pool5.end"),
        {"spatial_type": None, "in_channels": 4096},
    ),
    "swin": Case(
        "SwinTransformer3D", SWIN, "I3DHead", 4, 64, ("layers.2.blocks.0", "layers.2.blocks.-1", "layers.2.blocks.end")
    ),
    "timesformer": Case("TimeSformer", TIMESFORMER, "TimeSformerHead", places=_TRANSFORMER),
    "timesformer_joint": Case(
        "TimeSformer", {**TIMESFORMER, "attention_type": "joint_space_time"}, "TimeSformerHead", places=_TRANSFORMER
    ),
    "timesformer_space": Case(
        "TimeSformer", {**TIMESFORMER, "attention_type": "space_only"}, "TimeSformerHead", places=_TRANSFORMER
    ),
}


def recogniser_config(case: Case, features: int) -> dict[str, Any]:
    """mmaction2's config of the recogniser: this backbone, and the head that belongs to it."""
    shape = "NCHW" if case.dims == 2 else "NCTHW"
    norm = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
    defaults = {name: value for name, value in FAMILIES[case.name].defaults.items() if name not in case.options}
    head = {"type": case.head, "num_classes": CLASSES, "in_channels": features, "dropout_ratio": 0.5}
    return {
        "type": f"Recognizer{case.dims}D",
        "backbone": {"type": case.name, **defaults, **case.options},
        "cls_head": head | case.head_options,
        "data_preprocessor": {"type": "ActionDataPreprocessor", "format_shape": shape, **norm},
    }


def build_recogniser(config: dict[str, Any]) -> nn.Module:
    """mmaction2's own recogniser, with random weights and norms as after training; eval mode."""
    import mmaction.models  # noqa: F401
    from mmaction.registry import MODELS
    from mmengine.registry import DefaultScope

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmaction"):
        recogniser = MODELS.build(config)
    randomise_norms(recogniser)
    for parameter in (p for name, p in recogniser.named_parameters() if "embed" in name or "cls_token" in name):
        nn.init.normal_(parameter, std=0.2)
    return recogniser.eval()


def logits_of(recogniser: nn.Module, case: Case, clip: torch.Tensor) -> torch.Tensor:
    """What mmaction2 computes for clips (B, 3, T, H, W): it takes (B, T, 3, H, W), or (B, 1, 3, T, H, W)."""
    return recogniser(clip.transpose(1, 2).contiguous() if case.dims == 2 else clip[:, None], stage="head")
