"""`load_weights`: a file, or published weights by name, into a model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specvid.errors import nearest
from specvid.models.backbones.inflate import inflate_weight
from specvid.models.channels import RGB, average_channels
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.stages import STAGE_WRAPPERS
from specvid.models.weights.blocks import plan_blocks, updated_blocks
from specvid.models.weights.caffe2 import from_caffe2
from specvid.models.weights.names import BACKBONE, CLASSIFIER, NECKS, PROJECTION, PROJECTOR, TAIL, match_names
from specvid.models.weights.read import read_checkpoint, read_weights
from specvid.models.weights.recognise import recognise
from specvid.models.weights.report import LoadReport, summarise
from specvid.models.weights.variants import adopt_variant, find_variant, missing_shift

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel


def load_weights(model: VideoModel, path: str | Path, *, strict: bool = True) -> LoadReport:
    """Load a file, or published weights by name, into a model.

    Files of the whole model and of the bare backbone both fit, whatever prefix their names have; a classifier of as
    many classes is loaded too, whatever it is called, and so is a BNNeck. Checkpoints of torchvision, timm, mmaction2,
    kenshohara's 3D-ResNets, torchreid and fast-reid are known. Convolutions of an image network are inflated where the
    model is 3D. Where the model takes optical flow, weights of RGB are averaged over the channels, and weights of
    optical flow fit as they are. Blocks and heads that the file lacks stay as they are.

    An I3D-ResNet takes over the strides and pools in time of mmaction2's and SlowFast's checkpoints, and the report's
    ``messages`` name them; where the source of the weights is not known, its option ``variant`` must name it.

    Args:
        model: Is changed in place.
        path: A file (safetensors, or torch, read with ``weights_only``), or a name such as ``DEFAULT``.
        strict: Whether every tensor of the bare backbone must be in the file in its shape, and the file may have
            nothing more for it; else nothing is loaded.

    Returns:
        What went where.

    Raises:
        ValueError: The weights do not fit, or nothing matches at all; the model is then unchanged.
    """
    state, others = _read(model, path)
    variant: tuple[str, str] | None = None
    messages = tuple(_other_network(str(path), key, count) for key, count in others.items())
    try:
        variant = find_variant(model, state, path)
    except ValueError as error:
        if strict:
            raise
        messages += (str(error),)
    plan = plan_blocks(model, state, strict=strict)
    plan.swap()
    try:
        report = _load(model, plan.state, str(path), strict, plan.messages)
    except ValueError:
        plan.swap()
        raise
    if plan.blocks:
        model.config["blocks"] = updated_blocks(model)
    if variant is not None:
        messages += (adopt_variant(model, variant),)
    messages += missing_shift(model, state)
    return replace(report, messages=messages)


def _other_network(path: str, key: str, count: int) -> str:
    """The message about a network of the file that was not read."""
    command = shlex.join(["python", "-m", "specvid.tools.weights.convert", path, "OUT.safetensors", "--key", key])
    return f"the file also has weights under {key!r} ({count} tensors), which were not read; `{command}` takes them out"


def _load(
    model: VideoModel, state: dict[str, Tensor], source: str, strict: bool, messages: Mapping[str, str]
) -> LoadReport:
    """Load tensors by name, and report. ``messages``: what was done to blocks of other projects."""
    own = model.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    names = match_names(shapes, own, classifier=model.classifier_name)
    loaded: dict[str, Tensor] = {}
    adapted, mismatched = {}, {}
    for name, target in names.items():
        tensor, how = _fit(state[name], own[target])
        if tensor is None:
            mismatched[target] = how
            continue
        loaded[target] = tensor
        if how:
            adapted[target] = how
    for part in (CLASSIFIER, PROJECTION):  # fast-reid's have no bias
        bias = f"{part}bias"
        if f"{part}weight" in loaded and bias in own and bias not in names.values():
            loaded[bias], adapted[bias] = torch.zeros_like(own[bias]), "zeros: this layer has no bias in the file"
    report = LoadReport(
        source=source,
        matched=tuple(loaded),
        missing={name: why for name, why in _missing(model, own, names).items() if name not in loaded},
        unexpected=_unexpected(model, state, names),
        mismatched=mismatched,
        adapted=adapted | {name: message for name, message in messages.items() if name in loaded},
    )
    _check(model, report, state, strict)
    model.load_state_dict(loaded, strict=False)
    return report


def count_classes(model: VideoModel, path: str | Path) -> int | None:
    """Number of classes of the classifier that comes with weights.

    Args:
        model: For which the weights are.
        path: A file or a name, as of `load_weights`.

    Returns:
        The number; None where no classifier comes with them.
    """
    state, _ = _read(model, path)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    weight = f"{CLASSIFIER}weight"
    names = match_names(shapes, {*model.state_dict(), weight, f"{CLASSIFIER}bias"}, classifier=model.classifier_name)
    return next((shapes[name][0] for name, target in names.items() if target == weight and shapes[name]), None)


def _read(model: VideoModel, path: str | Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors under names that can be matched, and other networks in the file."""
    if Path(path).exists():
        state, others = read_checkpoint(path)
        return from_caffe2(state), others
    if str(path) == "DEFAULT" or str(path) in model.pretrained:
        return _download(model, str(path)), {}
    published = f"published are {', '.join(map(repr, model.pretrained))}" if model.pretrained else "none are published"
    raise ValueError(
        f"weights {str(path)!r}: there is no such file, and for {model.config['name']!r} {published}."
        f"{nearest(str(path), model.pretrained)}"
    )


def _download(model: VideoModel, name: str) -> dict[str, Tensor]:
    """Published weights, through torch's cache of downloads."""
    if not model.pretrained:
        raise ValueError(
            f"weights {name!r}: none are published for {model.config['name']!r}; give a file, or None to start anew"
        )
    if name == "DEFAULT":
        fitting = (own for own, published in model.pretrained.items() if published.modality == model.input.modality)
        name = next(fitting, next(iter(model.pretrained)))
    published = model.pretrained[name]
    try:
        if published.url.endswith(".safetensors"):
            return read_weights(_download_file(published.url))
        return torch.hub.load_state_dict_from_url(published.url, map_location="cpu", check_hash=True, weights_only=True)
    except OSError as error:  # URLError is one
        raise ValueError(
            f"weights {name!r}: {published.url} cannot be downloaded ({error}); download it elsewhere and give the file"
        ) from error


def _download_file(url: str) -> Path:
    """The file at ``url`` in torch's cache of downloads, under a name of its own."""
    name = "_".join(url.partition("://")[2].split("/")[1:])
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))
    return path


def _fit(tensor: Tensor, own: Tensor) -> tuple[Tensor | None, str]:
    """The tensor in the shape of ours and what was done to it (nothing: ""), or None and why it does not fit."""
    shape = own.shape
    if own.is_floating_point() and not tensor.is_floating_point():
        return None, f"{str(tensor.dtype).removeprefix('torch.')} in the file: quantised, or no weights at all"
    if tensor.shape == shape:
        return tensor, ""
    if tensor.ndim == 4 and len(shape) == 5 and (*tensor.shape[:2], *tensor.shape[2:]) == (*shape[:2], *shape[3:]):
        return inflate_weight(tensor, shape[2]), f"inflated over {shape[2]} frames"
    if min(tensor.ndim, len(shape)) >= 4 and {tensor.shape[1], shape[1]} == {RGB, 2}:
        averaged, how = _fit(average_channels(tensor, shape[1]), own)
        if averaged is not None and shape[1] == RGB:
            return None, _FLOW
        if averaged is not None:
            return averaged, ", ".join(filter(None, ["mean over RGB for each channel of optical flow", how]))
    if tensor.ndim > len(shape) == 2 and tensor.shape[:2] == shape and tensor.numel() == shape.numel():
        return tensor.reshape(shape), "1x1 convolution read as a linear layer"
    if tensor.shape == (*shape, *(1 for _ in range(tensor.ndim - len(shape)))):
        return tensor.reshape(shape), ""  # a 1x1 convolution of images in a block of ours, for any dimensions
    return None, f"{tuple(tensor.shape)} in the file, {tuple(shape)} in the model"


def _missing(model: VideoModel, own: dict[str, Tensor], names: dict[str, str]) -> dict[str, str]:
    found, blocks = set(names.values()), _block_prefixes(model)
    missing = {}
    for name in own:
        if name in found or name.endswith(".num_batches_tracked"):
            continue
        if name.startswith(blocks):
            missing[name] = "an inserted block, which stays as it is"
        else:
            missing[name] = "not in the file" if name.startswith(_BODY) else "not in the file; it stays as it is"
    return missing


def _unexpected(model: VideoModel, state: dict[str, Tensor], names: dict[str, str]) -> dict[str, str]:
    targets = {file: name.removeprefix(BACKBONE) for file, name in names.items() if name.startswith(BACKBONE)}
    prefixes = {file.removesuffix(name) for file, name in targets.items() if file.endswith(name)}
    children = [name for name, child in model.backbone.named_children() if child.state_dict()]
    inside = tuple(f"{prefix}{child}." for prefix in prefixes for child in children)
    heads = tuple(f"{prefix}{model.classifier_name}." for prefix in prefixes)
    unexpected = {}
    for name in state:
        if name in names or name.endswith(".num_batches_tracked"):
            continue
        in_backbone = name.startswith(inside) and not name.startswith(heads)
        unexpected[name] = _INSIDE if in_backbone else _why_left(model, name, names)
    return unexpected


def _why_left(model: VideoModel, name: str, names: dict[str, str]) -> str:
    """Why a tensor of the file has no place in the model, as far as is known."""
    if name.startswith(PROJECTOR):
        return "the projector of a training without labels, which nothing else needs: left out"
    layer, _, parameter = name.rpartition(".")
    if any(layer == neck or layer.endswith(f".{neck}") for neck in NECKS) and model.config["neck"] == "none":
        return "a BNNeck, which this model has not; create it with neck='bnneck'"
    if f"{layer}.weight" in names and parameter == "bias":
        return "this layer of the model has no bias, so its results differ by it"
    return "no such part in the model"


_BODY = (BACKBONE, TAIL)
_FLOW = (
    "of optical flow (2 channels), and the model takes RGB; build it with --modality flow, input={'modality': 'flow'}"
)
_INSIDE = "the backbone has no such tensor"


def _block_prefixes(model: VideoModel) -> tuple[str, ...]:
    added = (InsertedBlock, *STAGE_WRAPPERS.values())
    return tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, added))


def _check(model: VideoModel, report: LoadReport, state: dict[str, Tensor], strict: bool) -> None:
    """Raise the one error of a checkpoint that does not belong to the model."""
    what = f"weights {report.source!r} do not fit {model.config['name']!r}"
    if not any(name.startswith(BACKBONE) for name in report.matched):
        theirs, ours = next(iter(state)), next(iter(model.state_dict())).removeprefix(BACKBONE)
        raise ValueError(
            f"{what}: not one of its {len(state)} tensors belongs to this backbone (the file has {theirs!r}, ..., "
            f"the model {ours!r}, ...). {_whose(model, state)}Give a checkpoint of this backbone"
        )
    if not strict:
        return
    flow = next((name for name, why in report.mismatched.items() if why == _FLOW), "")
    if flow:
        raise ValueError(f"{what}: {flow} is {_FLOW}. Nothing was loaded")
    blocks = _block_prefixes(model)
    wrong = {
        "missing": {
            name: why for name, why in report.missing.items() if name.startswith(_BODY) and not name.startswith(blocks)
        },
        "of another shape": {name: why for name, why in report.mismatched.items() if name.startswith(_BODY)},
        "unexpected": {name: why for name, why in report.unexpected.items() if why == _INSIDE},
    }
    problems = [f"{len(names)} tensors {kind} ({summarise(names)[0]})" for kind, names in wrong.items() if names]
    if problems:
        raise ValueError(
            f"{what}: {'; '.join(problems)}. Nothing was loaded. {_whose(model, state)}Give a checkpoint of this "
            "backbone (with these blocks), or the --model and --blocks that it is of; in Python, "
            "load_weights(model, path, strict=False) loads what fits"
        )


def _whose(model: VideoModel, state: dict[str, Tensor]) -> str:
    """A sentence on whose weights they are, if they are known and of another backbone."""
    name, options = recognise(state)
    own = {option: model.config.get(option) for option in options}
    if not name or (name == model.config["name"] and options == own):
        return ""
    how = "".join(f", {option}={value!r}" for option, value in options.items())
    return f"These are weights of {name!r}{how}. "
