"""VideoMAE v2's checkpoints as VideoMAE's: the same network (Wang et al., CVPR 2023, arXiv:2303.16727), other names.

They come with code of their own (``auto_map``), which is not run: their weights fit transformers' VideoMAE once query,
key and value are taken apart. Only plain ones: no scales of layers, no cosine attention, no learned positions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_ENTRIES = {
    "image_size": ("img_size", 224),
    "patch_size": ("patch_size", 16),
    "num_channels": ("in_chans", 3),
    "hidden_size": ("embed_dim", 768),
    "num_hidden_layers": ("depth", 12),
    "num_attention_heads": ("num_heads", 12),
    "qkv_bias": ("qkv_bias", True),
    "num_frames": ("num_frames", 16),
    "tubelet_size": ("tubelet_size", 2),
    "layer_norm_eps": ("layer_norm_eps", 1e-6),
}
_NAMES = (
    (r"^patch_embed\.proj\.", "videomae.embeddings.patch_embeddings.projection."),
    (r"^blocks\.(\d+)\.norm1\.", r"videomae.encoder.layer.\1.layernorm_before."),
    (r"^blocks\.(\d+)\.norm2\.", r"videomae.encoder.layer.\1.layernorm_after."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"videomae.encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc1\.", r"videomae.encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.mlp\.fc2\.", r"videomae.encoder.layer.\1.output.dense."),
    (r"^head\.", "classifier."),
)
_QKV = re.compile(r"^blocks\.(\d+)\.attn\.(qkv\.weight|[qv]_bias)$")


def is_version_2(content: Mapping[str, Any]) -> bool:
    """Whether a config.json is VideoMAE v2's.

    Args:
        content: Of the file.

    Returns:
        Whether it is.
    """
    return "VideoMAEv2" in (content.get("architectures") or ()) and isinstance(content.get("model_config"), Mapping)


def as_version_1(
    content: Mapping[str, Any], state: Mapping[str, Tensor], what: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights of VideoMAE v2 as those of transformers' VideoMAE.

    Args:
        content: Of config.json.
        state: Of its weights.
        what: The backbone, to begin a message with.

    Returns:
        Both, converted.

    Raises:
        ValueError: It is a network that VideoMAE is not.
    """
    own: Mapping[str, Any] = content["model_config"]
    for entry in ("init_values", "cos_attn", "use_learnable_pos_emb"):
        if own.get(entry):
            raise ValueError(f"{what}: VideoMAE v2 with {entry}={own[entry]!r} is not supported")
    if not own.get("use_mean_pooling", True):
        raise ValueError(f"{what}: VideoMAE v2 without use_mean_pooling is not supported")
    config = {name: own.get(theirs, default) for name, (theirs, default) in _ENTRIES.items()}
    config["intermediate_size"] = int(config["hidden_size"] * own.get("mlp_ratio", 4))
    config |= {"model_type": "videomae", "architectures": ["VideoMAEForVideoClassification"], "use_mean_pooling": True}
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("model.")
        if match := _QKV.fullmatch(name):
            layer, kind = f"videomae.encoder.layer.{match[1]}.attention.attention.", match[2]
            if kind == "qkv.weight":
                parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
                tensors |= {f"{layer}{part}.weight": one.clone() for part, one in parts}
            else:
                tensors[f"{layer}{'query' if kind == 'q_bias' else 'value'}.bias"] = tensor
            continue
        for pattern, ours in _NAMES:
            name = re.sub(pattern, ours, name)
        tensors[name] = tensor
    labels = len(tensors["classifier.weight"]) if "classifier.weight" in tensors else 0
    config["id2label"] = content.get("id2label") or {i: f"LABEL_{i}" for i in range(labels)}
    if len(config["id2label"]) != labels:
        config["id2label"] = {i: f"LABEL_{i}" for i in range(labels)}
    return config, tensors
