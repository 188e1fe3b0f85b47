"""``hf:NAME``: a checkpoint in the Hub's format, or one of transformers' architectures -> `Backbone`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.extras import require
from specvid.models.backbones.hf.families import FAMILIES, Family, Taken
from specvid.models.backbones.hf.folder import (
    class_names,
    find_checkpoint,
    load_network,
    option_names,
    own_options,
    quiet,
    read_config,
    read_tensors,
)
from specvid.models.backbones.hf.preprocessing import mean_and_std, read_preprocessing, sizes
from specvid.models.backbones.hf.videomae_v2 import as_version_1, is_version_2
from specvid.models.backbones.registry import register_scheme
from specvid.models.formats import FormatRule
from specvid.models.spec import Backbone, BackboneConfig, InputSpec, OwnWeights

EXTRA = "hf"
_OURS = ("as_classifier", "size", "fc_norm_eps")  # options that are not entries of transformers' config


@register_scheme("hf")
def build_hf(name: str, /, **options: Any) -> Backbone:
    """Build one of transformers' video or image encoders.

    Args:
        name: A folder in the Hub's format, or ``owner/name`` on the Hub: with its weights, and its classifier where it
            has one. Or an architecture, randomly initialised (``videomae``, `FAMILIES` lists them), which is what such
            a backbone is called in the config of a run.
        **options: Entries of transformers' config that differ from the checkpoint's (``num_frames=8``), or from the
            defaults of the architecture. Of a network that takes frames of any size (DINOv2, DINOv3) ``size``: their
            side in px. Of an architecture ``as_classifier=True``: vectors are those that its classifier gets, and
            ``fc_norm_eps``: of the norm in front of it (VideoMAE v2).

    Returns:
        The backbone.

    Raises:
        ValueError: There is no such checkpoint, its architecture is none of these, it wants to run code of its own, an
            option is unknown, weights do not fit, or transformers is not installed.
    """
    what = f"backbone 'hf:{name}'"
    transformers = require("transformers", extra=EXTRA, what=what)
    ours = {key: options.pop(key) for key in _OURS if key in options}
    if name in FAMILIES and not options and not ours and Path(name).is_dir():
        raise ValueError(f"{what} is an architecture and a folder here: write 'hf:./{name}' for the folder")
    if name in FAMILIES:
        config = _config(transformers, name, {}, options, what)
        family = FAMILIES[name]
        with_head = bool(ours.get("as_classifier")) and bool(family.classifier)
        cls = getattr(transformers, family.classifier if with_head else family.bare)
        try:
            with torch.device("cpu"), quiet():
                network = cls(config)
        except (TypeError, ValueError, KeyError, RuntimeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"{what}: transformers cannot build it ({error})") from error
        return _backbone(network, config, family, with_head, _sizes({}, config, family, ours), ours, what)
    for option in ("as_classifier", "fc_norm_eps"):
        if option in ours:
            raise ValueError(f"{what}: {option} is an option of an architecture, and a checkpoint says it itself")
    folder = find_checkpoint(name, what)
    content = read_config(folder, what)
    state: dict[str, Tensor] = {}
    if is_version_2(content):
        content, state = as_version_1(content, read_tensors(folder, what), what)
        ours["fc_norm_eps"] = content["layer_norm_eps"]
    kind = content.get("model_type")
    if kind not in FAMILIES:
        raise _not_supported(what, kind, content)
    family, config = FAMILIES[kind], _config(transformers, kind, content, options, what)
    state = state or read_tensors(folder, what)
    with_head = bool(family.classifier) and family.classifier in (content.get("architectures") or ())
    cls = getattr(transformers, family.classifier if with_head else family.bare)
    network, missing = load_network(cls, config, state, what)
    processing, file = read_preprocessing(folder)
    try:
        input = _sizes(processing, config, family, ours)
    except (TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"{what}: {file} gives no normalisation and sizes that fit ({error})") from error
    backbone = _backbone(network, config, family, with_head, input, ours, what)
    _require_all(backbone, network, missing, what)
    return replace(
        backbone,
        own=_own(network, str(folder), class_names(content) if with_head else (), with_head),
        config=BackboneConfig(
            f"hf:{kind}",
            {
                **own_options(config),
                **({"as_classifier": True} if with_head else {}),
                **({"fc_norm_eps": ours["fc_norm_eps"]} if "fc_norm_eps" in ours else {}),
                **({"size": _json_size(backbone.input)} if family.any_size else {}),
            },
            _input_changes(backbone.input),
        ),
    )


def _config(transformers: Any, kind: str, content: Mapping[str, Any], options: Mapping[str, Any], what: str) -> Any:
    """transformers' config of an architecture: of a checkpoint, with changes."""
    cls = type(transformers.AutoConfig.for_model(kind))
    known = option_names(cls)
    for option in options:
        if option not in known:
            raise unknown(f"option of {what}:", option, [*known, *_OURS])
    classes = {"num_labels": len(content["id2label"])} if isinstance(content.get("id2label"), Mapping) else {}
    try:
        with quiet():  # other entries can name code: of kernels, of adapters, of quantisation
            return cls(**{key: content[key] for key in known if key in content} | classes | dict(options))
    except Exception as error:  # transformers checks the values in many ways
        raise ValueError(f"{what}: transformers refuses its config ({str(error).splitlines()[0][:300]})") from error


def _not_supported(what: str, kind: Any, content: Mapping[str, Any]) -> ValueError:
    listed = ", ".join(FAMILIES)
    if content.get("auto_map"):
        return ValueError(
            f"{what} is of the type {kind!r}, which is code that comes with it, and specvid runs no such code. "
            f"Types that transformers itself has: {listed}"
        )
    return ValueError(f"{what} is of the type {kind!r}, which is not supported. Supported are: {listed}")


def _sizes(processing: Mapping[str, Any], config: Any, family: Family, ours: Mapping[str, Any]) -> InputSpec:
    """The clips of a checkpoint: frames and size as its network wants them, the rest as its processor says."""
    found = sizes(processing)
    own = getattr(config, family.size)
    built = (own, own) if isinstance(own, int) else (int(own[0]), int(own[1]))
    size = built if found is None or not family.any_size else found[0]
    if "size" in ours:
        if not family.any_size:
            raise ValueError(f"size is not an option of this network: give {family.size}=...")
        given = ours["size"]
        size = (given, given) if isinstance(given, int) else (int(given[0]), int(given[1]))
    resize: int | tuple[int, int] = min(size) if found is None else found[1]
    if found is not None and found[0] != size:  # other clips than its processor's: resized in its proportion
        factor = min(size) / min(found[0])
        resize = round(resize * factor) if isinstance(resize, int) else (size[0], size[1])
    mean, std = mean_and_std(processing, offset=family.offset) or (family.mean, family.std)
    return InputSpec(
        frames=getattr(config, family.frames) if family.frames else 8,
        stride=family.stride,
        size=size[0] if size[0] == size[1] else size,
        resize=resize,
        mean=mean,
        std=std,
    )


def _backbone(
    network: Any, config: Any, family: Family, with_head: bool, input: InputSpec, ours: Mapping[str, Any], what: str
) -> Backbone:
    """The network as a backbone, without knowledge of where it is from."""
    if "fc_norm_eps" in ours:
        network.fc_norm.eps = float(ours["fc_norm_eps"])
    bare = getattr(network, network.base_model_prefix) if with_head else network
    try:
        taken = family.take(bare, network if with_head else None, input.crop)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    fixed = {"size": "size"} if family.any_size else {"frames": family.frames, "size": family.size}
    if family.any_size and any(side % patch for side, patch in zip(input.crop, _patch(config), strict=True)):
        raise ValueError(f"{what}: size {input.size} is no multiple of its patches of {config.patch_size} px")
    return Backbone(
        module=taken.encoder.train(),
        feature_dim=config.hidden_size,
        input=input,
        dims=family.dims,
        classifier="classifier",
        formats=_rules(taken),
        output_format=taken.tokens,
        tail=taken.tail,
        tail_dim=taken.tail_dim,
        fixed=fixed,
    )


def _rules(taken: Taken) -> tuple[FormatRule, ...]:
    """Blocks can stand between the layers."""
    rules = []
    if taken.reads_class_token:
        last = len(taken.encoder.layers) - 1
        why = "what comes after it reads the class token alone; put it before the layer"
        rules.append(FormatRule(rf"layers\.{last}\.end|norm(\.end)?", None, why))
    rules.append(FormatRule(r"layers\.\d+(\.end)?|norm(\.end)?", taken.tokens))
    return (*rules, FormatRule(".*", None, "features are maps only between the layers: choose 'layers.N'"))


def _require_all(backbone: Backbone, network: nn.Module, missing: set[str], what: str) -> None:
    """Refuse a checkpoint that lacks weights of what is taken of it."""
    parts = [backbone.module, *([backbone.tail] if backbone.tail is not None else [])]
    used = {id(parameter) for part in parts for parameter in part.parameters()}
    lacking = [name for name, one in network.named_parameters() if name in missing and id(one) in used]
    if lacking:
        raise ValueError(f"{what}: {len(lacking)} tensors are not in its weights, {sorted(lacking)[0]} first")


def _own(network: Any, source: str, classes: tuple[str, ...], with_head: bool) -> OwnWeights:
    head = network.classifier if with_head else None
    if not isinstance(head, nn.Linear):
        return OwnWeights(source)
    weights = {name: parameter.detach().clone() for name, parameter in head.named_parameters()}
    return OwnWeights(source, weights, classes if len(classes) == len(head.weight) else ())


def _input_changes(spec: InputSpec) -> dict[str, Any]:
    """What an architecture built anew does not know of the clips."""
    return {"stride": spec.stride, "resize": spec.resize, "mean": spec.mean, "std": spec.std}


def _json_size(spec: InputSpec) -> int | list[int]:
    return spec.size if isinstance(spec.size, int) else list(spec.size)


def _patch(config: Any) -> tuple[int, int]:
    patch = config.patch_size
    return (patch, patch) if isinstance(patch, int) else (patch[0], patch[1])
