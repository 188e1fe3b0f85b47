"""`create_model`: a backbone, blocks inserted into it, pooling and a head, as one `VideoModel`."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from specvid.errors import nearest
from specvid.models.backbones.registry import build_backbone, option_names
from specvid.models.heads import Head
from specvid.models.insertion.convolutions import replace_conv, replacement_names
from specvid.models.insertion.grammar import Insertion, format_blocks, parse_blocks
from specvid.models.insertion.insert import insert_blocks
from specvid.models.insertion.places import PlaceError
from specvid.models.pooling import create_pooling
from specvid.models.spec import BackboneConfig
from specvid.models.video_model import VideoModel
from specvid.models.weights import load_weights
from specvid.models.weights.own import adopt_own
from specvid.models.weights.read import read_weights


def create_model(
    name: str,
    *,
    blocks: str | None = "",
    conv: str | None = "",
    num_classes: int | None = None,
    embedding_dim: int | None = None,
    pooling: str = "mean",
    neck: str = "none",
    dropout: float = 0.0,
    input: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    **options: Any,
) -> VideoModel:
    """Build a video model: a backbone, blocks inserted into it, pooling and a head.

    Fresh blocks are identities (parts are not), and their weights come after everything else from a random stream of
    their own: with the same seed, the model with blocks computes exactly what the one without does, and so does
    everything random after it.

    Args:
        name: A backbone (`list_backbones`).
        blocks: Insertions, e.g. ``"snl@layer3.-1"`` (`specvid.models.insertion.grammar`,
            `specvid.models.insertion.places`), or parts such as ``"tsm@residual"`` (`specvid.models.insertion.parts`).
        conv: Convolutions of the backbone to replace, e.g. ``"dcd@layer3"`` (`specvid.models.insertion.convolutions`).
            They start from those that ``weights`` bring, or are loaded where the weights have them.
        num_classes: Size of the classifier, None for none.
        embedding_dim: Length E of the embedding, see `Head`; None for that of the pooled features.
        pooling: ``mean``, ``max`` or ``attention`` over time.
        neck: ``none`` or ``bnneck``, see `Head`.
        dropout: Probability of dropping a number in front of the classifier.
        input: Changes to the backbone's `InputSpec`, e.g. ``{"size": (256, 128)}``, or ``{"modality": "flow"}``, for
            which the first convolution gets two channels (`specvid.models.channels`).
        weights: A file (safetensors or torch), or the name of published weights (``"DEFAULT"``, ``"kinetics400"``,
            ``"imagenet"``); what was loaded is in ``model.loaded``, a `LoadReport`. Without them: those that the name
            brings along (``hf:FOLDER``), with its classifier where ``num_classes`` is that of the checkpoint.
        **options: Options of the backbone, e.g. ``last_stride=1`` of ``resnet50``.

    Returns:
        The model, in training mode.

    Raises:
        ValueError: Anything unknown, naming the nearest right answer, or weights that do not fit.
    """
    _check_types(name, input, weights)
    _check_names(name, options)
    backbone = build_backbone(name, **options)
    backbone = backbone.with_input(input or {})
    pool = create_pooling(pooling, backbone.vector_dim, window=backbone.window)
    head = Head(backbone.vector_dim, num_classes=num_classes, embedding_dim=embedding_dim, neck=neck, dropout=dropout)
    insertions = parse_blocks(blocks or "")
    with torch.random.fork_rng(devices=[]), _naming(name):
        insert_blocks(backbone, insertions)
    rebuild = backbone.config or BackboneConfig(name, options, {})
    config: dict[str, Any] = {
        "name": rebuild.name,
        "blocks": format_blocks(insertions),
        "num_classes": num_classes,
        "embedding_dim": embedding_dim,
        "pooling": pooling,
        "neck": neck,
        "dropout": dropout,
        "input": {**rebuild.input, **(input or {})},
        **rebuild.options,
    }
    config = json.loads(json.dumps(config))  # as it comes back from a file: lists, not tuples
    model = VideoModel(backbone, pool=pool, head=head, config=config)
    replacements = parse_blocks(conv or "", what="conv")
    has_own = bool(replacements) and weights is not None and _has_replacements(model, replacements, weights)
    if replacements and has_own:
        with _naming(name):
            model.replaced = replace_conv(model, format_blocks(replacements))
    if weights is not None:
        model.loaded = load_weights(model, weights)
    elif backbone.own is not None:
        model.loaded = adopt_own(model, backbone.own)
    if replacements and not has_own:
        with _naming(name):
            model.replaced = replace_conv(model, format_blocks(replacements))
    return model


@contextlib.contextmanager
def _naming(backbone: str) -> Iterator[None]:
    """Say of which backbone a place was asked for, where it has none of this name."""
    try:
        yield
    except PlaceError as error:
        raise PlaceError(f"backbone {backbone!r}: {error}") from None


def _has_replacements(model: VideoModel, replacements: tuple[Insertion, ...], weights: str | Path) -> bool:
    """Whether a file has weights of the network with its convolutions replaced, not of the bare one."""
    if not Path(weights).is_file():
        return False
    names = replacement_names(model.backbone, replacements, model.aliases)
    return any(key.endswith(tuple(names)) for key in read_weights(weights))


def _check_types(name: object, input: object, weights: object) -> None:
    """Answer arguments of other kinds, such as ``weights=True``."""
    if not isinstance(name, str):
        raise ValueError(f"backbone {name!r} must be a name, e.g. 'r3d_18' (`specvid models` lists them)")
    if input is not None and not isinstance(input, Mapping):
        raise ValueError(f"input {input!r} must be a dictionary of fields of InputSpec, e.g. {{'frames': 16}}")
    if weights is not None and not isinstance(weights, str | Path):
        raise ValueError(
            f"weights {weights!r} must be a file or a name: 'DEFAULT' for the published ones, None for none"
        )


# what other libraries call an argument of ours
_MEANT = {
    "pretrained": "weights='DEFAULT'",
    "checkpoint": "weights=FILE",
    "checkpoint_path": "weights=FILE",
    "dim": "embedding_dim=",
    "out_dim": "embedding_dim=",
    "feature_dim": "embedding_dim=",
    "classes": "num_classes=",
    "n_classes": "num_classes=",
    "pool": "pooling=",
    "dropout_rate": "dropout=",
    "drop_rate": "dropout=",
    "block": "blocks=",
    "plugins": "blocks=",
    "conv_layer": "conv=",
    "convs": "conv=",
    "num_frames": "input={'frames': ...}",
    "frames": "input={'frames': ...}",
    "clip_len": "input={'frames': ...}",
    "size": "input={'size': ...}",
    "img_size": "input={'size': ...}",
    "modality": "input={'modality': ...}",
    "in_channels": "input={'modality': ...}",
    "in_chans": "input={'modality': ...}",
}


def _check_names(name: str, options: Mapping[str, Any]) -> None:
    """Answer an argument that is neither one of `create_model` nor an option of the backbone."""
    own = [argument for argument in inspect.signature(create_model).parameters if argument not in ("name", "options")]
    theirs = option_names(name)
    for option in options:
        if theirs is not None and option in theirs:
            continue
        meant = _MEANT.get(option) or next(
            (f"{close}=" for close in difflib.get_close_matches(option, own, n=1, cutoff=0.85)), ""
        )
        if theirs is None and (not meant or option in _MEANT):  # the other library knows its options itself
            continue
        hint = f" Did you mean {meant}?" if meant else nearest(option, [*own, *(theirs or ())])
        listed = f"those of backbone {name!r} are {', '.join(theirs)}" if theirs else f"backbone {name!r} has none"
        if theirs is None:
            listed = f"those of backbone {name!r} are its library's"
        raise ValueError(f"create_model: {option!r} is unknown.{hint} Arguments: {', '.join(own)}; options: {listed}.")
