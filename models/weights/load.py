"""`load_weights`: a file, or published weights by name, into a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from specvid.models.backbones.inflate import inflate_weight
from specvid.models.insertion import InsertedBlock
from specvid.models.suggest import nearest
from specvid.models.weights.names import BACKBONE, match_names
from specvid.models.weights.read import read_weights
from specvid.models.weights.report import LoadReport, summarise

if TYPE_CHECKING:
    from specvid.models.factory import VideoModel


def load_weights(model: VideoModel, path: str | Path, *, strict: bool = True) -> LoadReport:
    """Load a file (safetensors, or torch with ``weights_only``), or published weights by name, and say what went where.

    Files of the whole model and of the bare backbone both fit, whatever prefix their names have; a classifier of as
    many classes is loaded too, whatever it is called. Convolutions of an image network are inflated where the model
    is 3D.

    ``strict``: every tensor of the bare backbone must be in the file in its shape, and the file may have nothing more
    for it, else nothing is loaded and a ``ValueError`` says what is wrong. Blocks and heads that the file lacks stay
    as they are. No match at all is always an error.
    """
    state = _read(model, path)
    own = model.state_dict()
    names = match_names(state, own, classifier=model.classifier_name)
    loaded: dict[str, Tensor] = {}
    adapted, mismatched = {}, {}
    for name, target in names.items():
        tensor, how = _fit(state[name], own[target].shape)
        if tensor is None:
            mismatched[target] = how
            continue
        loaded[target] = tensor
        if how:
            adapted[target] = how
    report = LoadReport(
        source=str(path),
        matched=tuple(loaded),
        missing=_missing(model, own, names),
        unexpected=_unexpected(model, state, names),
        mismatched=mismatched,
        adapted=adapted,
    )
    _check(model, report, state, strict)
    model.load_state_dict(loaded, strict=False)
    return report


def _read(model: VideoModel, path: str | Path) -> dict[str, Tensor]:
    if Path(path).exists():
        return read_weights(path)
    if str(path) == "DEFAULT" or str(path) in model.pretrained:
        return _download(model, str(path))
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
    published = model.pretrained[next(iter(model.pretrained)) if name == "DEFAULT" else name]
    try:
        return torch.hub.load_state_dict_from_url(published.url, map_location="cpu", check_hash=True, weights_only=True)
    except OSError as error:  # URLError is one
        raise ValueError(
            f"weights {name!r}: {published.url} cannot be downloaded ({error}); download it elsewhere and give the file"
        ) from error


def _fit(tensor: Tensor, shape: torch.Size) -> tuple[Tensor | None, str]:
    """The tensor in ``shape`` and what was done to it (nothing: ""), or None and why it does not fit."""
    if tensor.shape == shape:
        return tensor, ""
    if tensor.ndim == 4 and len(shape) == 5 and (*tensor.shape[:2], *tensor.shape[2:]) == (*shape[:2], *shape[3:]):
        return inflate_weight(tensor, shape[2]), f"inflated over {shape[2]} frames"
    if tensor.ndim > len(shape) == 2 and tensor.shape[:2] == shape and tensor.numel() == shape.numel():
        return tensor.reshape(shape), "1x1 convolution read as a linear layer"
    return None, f"{tuple(tensor.shape)} in the file, {tuple(shape)} in the model"


def _missing(model: VideoModel, own: dict[str, Tensor], names: dict[str, str]) -> dict[str, str]:
    found, blocks = set(names.values()), _block_prefixes(model)
    missing = {}
    for name in own:
        if name in found or (name.startswith(BACKBONE) and name.endswith(".num_batches_tracked")):
            continue
        if name.startswith(blocks):
            missing[name] = "an inserted block, which stays as it is"
        else:
            missing[name] = "not in the file" if name.startswith(BACKBONE) else "not in the file; it stays as it is"
    return missing


def _unexpected(model: VideoModel, state: dict[str, Tensor], names: dict[str, str]) -> dict[str, str]:
    targets = {file: name.removeprefix(BACKBONE) for file, name in names.items() if name.startswith(BACKBONE)}
    prefixes = {file.removesuffix(name) for file, name in targets.items()}
    inside = tuple(f"{prefix}{child}." for prefix in prefixes for child, _ in model.backbone.named_children())
    left = [name for name in state if name not in names]
    return {name: _INSIDE if name.startswith(inside) else "no such part in the model" for name in left}


_INSIDE = "the backbone has no such tensor"


def _block_prefixes(model: VideoModel) -> tuple[str, ...]:
    return tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, InsertedBlock))


def _check(model: VideoModel, report: LoadReport, state: dict[str, Tensor], strict: bool) -> None:
    """Raise the one error of a checkpoint that does not belong to the model."""
    what = f"weights {report.source!r} do not fit {model.config['name']!r}"
    if not any(name.startswith(BACKBONE) for name in report.matched):
        theirs, ours = next(iter(state)), next(iter(model.state_dict())).removeprefix(BACKBONE)
        raise ValueError(
            f"{what}: not one of its {len(state)} tensors belongs to this backbone (the file has {theirs!r}, ..., "
            f"the model {ours!r}, ...). Give a checkpoint of this backbone"
        )
    if not strict:
        return
    blocks = _block_prefixes(model)
    wrong = {
        "missing": {
            name: why
            for name, why in report.missing.items()
            if name.startswith(BACKBONE) and not name.startswith(blocks)
        },
        "of another shape": {name: why for name, why in report.mismatched.items() if name.startswith(BACKBONE)},
        "unexpected": {name: why for name, why in report.unexpected.items() if why == _INSIDE},
    }
    problems = [f"{len(names)} tensors {kind} ({summarise(names)[0]})" for kind, names in wrong.items() if names]
    if problems:
        raise ValueError(
            f"{what}: {'; '.join(problems)}. Nothing was loaded. Give a checkpoint of this backbone (with these "
            "blocks), or load what fits with load_weights(model, path, strict=False)"
        )
