"""Activation checkpointing: a training holds the inputs of a network's units, and computes what is inside them again.

A unit is a residual block, an inception module, a transformer layer, an inserted block: what stands in the stages of a
network (``stages`` in `specvid.models.insertion.places`), and what is composite beside them. The backward pass runs
each unit once more (Chen et al., "Training deep nets with sublinear memory cost", 1604.06174), from the same random
numbers and under the same autocast. A second run must not count for running statistics: it works on copies of the
unit's buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from specvid.models.insertion.places import stages

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel


def checkpoint_activations(model: VideoModel) -> list[str]:
    """Let a network hold no activations inside its units while it is trained, in place.

    Gradients and running statistics stay what they are. Without gradients (evaluation) nothing changes, and
    `VideoModel.for_inference` leaves it out.

    Args:
        model: The network.

    Returns:
        Paths of the units in the backbone.

    Raises:
        ValueError: No unit is found.
    """
    units = find_units(model.backbone)
    if not units:
        raise ValueError(
            f"checkpoint_activations: {model.config['name']!r} has no composite units to compute again. Leave it out."
        )
    for path in units:
        module = model.backbone.get_submodule(path)
        if not isinstance(module.__dict__.get("forward"), _Checkpointed):
            module.forward = _Checkpointed(module)
    return units


def remove_checkpoints(model: nn.Module) -> None:
    """The inverse of `checkpoint_activations`, in place.

    Args:
        model: A network, checkpointed or not.
    """
    for module in model.modules():
        patched = module.__dict__.get("forward")
        if isinstance(patched, _Checkpointed):
            del module.forward
            if patched.was_patched:
                module.forward = patched.forward


def find_units(network: nn.Module, path: str = "") -> list[str]:
    """The units of a network.

    Args:
        network: Of any kind.
        path: Of the part of it that is looked at.

    Returns:
        Their paths, in order; modules without children are none.
    """
    part = network.get_submodule(path)
    inside = stages(part)
    found = [
        name
        for name, module in part.named_modules()
        if name and next(module.children(), None) is not None and name not in inside
        if not (parent := name.rpartition(".")[0]) or parent in inside
    ]
    whole = [name for name in found if not inside and 2 * _size(part.get_submodule(name)) > _size(part)]
    units: list[str] = []
    for name in found:
        here = f"{path}.{name}" if path else name
        units += (find_units(network, here) if name in whole else []) or [here]
    return units


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Checkpointed:
    """The forward of a unit: as it was, but where gradients are asked for its inside is not held."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.was_patched, self.forward = module, "forward" in module.__dict__, module.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled() or not (_need_gradients(args) or _need_gradients(self.module.parameters())):
            return self.forward(*args, **kwargs)
        return checkpoint(self.forward, *args, use_reentrant=False, context_fn=self._contexts, **kwargs)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _copied_buffers(self.module)


def _need_gradients(values: Any) -> bool:
    return any(isinstance(value, torch.Tensor) and value.requires_grad for value in values)


@contextmanager
def _copied_buffers(module: nn.Module) -> Iterator[None]:
    """Let a module and all in it change copies of their buffers."""
    real = [(inner, dict(inner._buffers)) for inner in module.modules() if inner._buffers]
    for inner, buffers in real:
        inner._buffers.update({name: None if one is None else one.clone() for name, one in buffers.items()})
    try:
        yield
    finally:
        for inner, buffers in real:
            inner._buffers.update(buffers)
