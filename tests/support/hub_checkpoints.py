"""Tiny random networks of transformers and open_clip, saved in the Hub's format, as others publish them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

CLASSES = {0: "surf", 1: "push up", 2: "crawl"}
_SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_DINO = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
_VIDEO = {"image_size": 32, "patch_size": 16, "num_frames": 4, **_SMALL}
_JEPA = {"crop_size": 32, "patch_size": 16, "frames_per_clip": 4, "mlp_ratio": 2, "num_pooler_layers": 1}
_JEPA |= {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "pred_hidden_size": 12}
_JEPA |= {"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
# name -> config class, network class, options, processor class, its options
NETWORKS: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "videomae": (
        "VideoMAEConfig",
        "VideoMAEForVideoClassification",
        _VIDEO,
        "VideoMAEVideoProcessor",
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "image_mean": [0.1, 0.2, 0.3]},
    ),
    "videomae-first-token": (
        "VideoMAEConfig",
        "VideoMAEForVideoClassification",
        {**_VIDEO, "use_mean_pooling": False},
        "",
        {},
    ),
    "videomae-pretrained": ("VideoMAEConfig", "VideoMAEForPreTraining", {**_VIDEO, "decoder_hidden_size": 12}, "", {}),
    "vjepa2": ("VJEPA2Config", "VJEPA2ForVideoClassification", _JEPA, "VJEPA2VideoProcessor", {"crop_size": 32}),
    "vjepa2-bare": ("VJEPA2Config", "VJEPA2Model", _JEPA, "", {}),
    "timesformer": ("TimesformerConfig", "TimesformerForVideoClassification", _VIDEO, "", {}),
    "vivit": (
        "VivitConfig",
        "VivitForVideoClassification",
        {"image_size": 32, "num_frames": 4, **_SMALL},
        "VivitVideoProcessor",
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    ),
    "dinov2": ("Dinov2Config", "Dinov2ForImageClassification", {"image_size": 42, "patch_size": 14, **_DINO}, "", {}),
    "dinov2-bare": (
        "Dinov2Config",
        "Dinov2Model",
        {"image_size": 42, "patch_size": 14, **_DINO},
        "BitImageProcessor",
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}, "do_resize": True},
    ),
    "dinov2_with_registers": (
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersForImageClassification",
        {"image_size": 42, "patch_size": 14, "num_register_tokens": 2, **_DINO},
        "",
        {},
    ),
    "dinov3_vit": (
        "DINOv3ViTConfig",
        "DINOv3ViTModel",
        {"image_size": 32, "patch_size": 16, "num_register_tokens": 2, **_SMALL},
        "DINOv3ViTImageProcessor",
        {"size": {"height": 32, "width": 32}},
    ),
}


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Give every parameter a value of its own, biases and norms too, which start at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def save_hf(name: str, folder: Path) -> tuple[nn.Module, Any]:
    """transformers' network of ``name``, saved into ``folder``, in eval mode; and its processor (None: it has none)."""
    import transformers

    config_class, network_class, options, processor_class, processing = NETWORKS[name]
    classes = {"id2label": CLASSES, "label2id": {label: key for key, label in CLASSES.items()}}
    config = getattr(transformers, config_class)(**options, **(classes if "Classification" in network_class else {}))
    torch.manual_seed(0)
    network = getattr(transformers, network_class)(config).eval()
    randomise(network)
    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(folder)
    processor = None
    if processor_class:
        processor = getattr(transformers, processor_class)(**processing)
        processor.save_pretrained(folder)
    return network, processor


_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
_VIT = {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 16}
_TIMM = {"timm_model_name": "test_vit.r160_in1k", "image_size": 160, "timm_pool": "map", "timm_proj": "none"}
CLIPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vit": (
        {"embed_dim": 12, "vision_cfg": _VIT, "text_cfg": _TEXT},
        {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
    ),
    "vit-quick": (
        {"embed_dim": 12, "quick_gelu": True, "vision_cfg": {**_VIT, "pool_type": "avg"}, "text_cfg": _TEXT},
        {},
    ),
    "resnet": (
        {
            "embed_dim": 12,
            "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
            "text_cfg": _TEXT,
        },
        {},
    ),
    "siglip": (
        {
            "embed_dim": 64,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": _TIMM,
            "text_cfg": {**_TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
        },
        {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"},
    ),
}


def save_clip(name: str, folder: Path) -> nn.Module:
    """open_clip's model of ``name``, saved into ``folder``, in eval mode."""
    from open_clip.model import CLIP, CustomTextCLIP

    config, images = CLIPS[name]
    content = json.loads(json.dumps(config))
    cls: Callable[..., nn.Module] = CustomTextCLIP if content.pop("custom_text", False) else CLIP
    torch.manual_seed(0)
    network = cls(**content).eval()
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": images}))
    return network
