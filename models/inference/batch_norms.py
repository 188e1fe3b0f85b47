"""Batch norms put into the layer before them, a convolution or linear: W' = s W, b' = s (b - mean) + beta.

(s = gamma / deviation.) Which layer stands before a norm is not asked of names but of a run: the norm must read what
the layer gives, as it is, and nothing else may read it. Whether the folded layer does what the two did is then
computed, on a small input in float64: layers that do more than their type says (weights that are standardised, norms
with an activation inside) are folded where the numbers agree, and left as they are where not.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

SMALL = 64
"""Short side of the pictures that a network is run on, px."""


def fold_batch_norms(model: Any) -> tuple[int, tuple[str, ...]]:
    """Fold the batch norms of a network, in place.

    Args:
        model: a `VideoModel` in eval mode.

    Returns:
        How many were folded, and the names of those that stand.
    """
    names: dict[str, list[str]] = defaultdict(list)  # a module may stand in several places
    first: dict[int, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names[first.setdefault(id(module), name)].append(name)
    norms = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    folded: list[str] = []
    for layer_name, norm_name in _pairs(model) if norms else ():
        layer, norm = model.get_submodule(layer_name), model.get_submodule(norm_name)
        rest = _rest(norm)
        if rest is None or not _is_plain(layer):
            continue
        merged = _merge(layer, norm)
        if merged is None or not _agree(layer, norm, rest):
            continue
        for name in names[layer_name]:
            model.set_submodule(name, merged)
        for name in names[norm_name]:
            model.set_submodule(name, rest)
        folded.append(norm_name)
    return len(folded), tuple(name for name in norms if name not in set(folded))


class _Readers(TorchFunctionMode):
    """Counts how often the outputs of layers are read, and how often by the norm behind them.

    Attributes:
        made_by: name of the layer that gave a tensor.
        reads: by all operations.
        own: within the norm that takes the tensor as its input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made_by: dict[int, str] = {}
        self.reads: dict[int, int] = defaultdict(int)
        self.own: dict[int, int] = defaultdict(int)
        self.alive: list[Tensor] = []  # so that no other tensor gets its number
        self.inside: int | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if result is None or any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):  # else: a shape, a dtype
            for leaf in tree_leaves((args, kwargs or {})):
                if isinstance(leaf, Tensor) and id(leaf) in self.made_by:
                    self.reads[id(leaf)] += 1
                    self.own[id(leaf)] += self.inside == id(leaf)
        return result


def _pairs(model: Any) -> list[tuple[str, str]]:
    """(layer, norm) where the norm alone reads what the layer gives, each run once.

    The network runs on few pixels where it takes any number of them; if it takes no clip at all, there are no pairs.
    """
    spec, (height, width) = model.input, model.input.crop
    shrink = max(1.0, min(height, width) / SMALL)
    sizes = [(round(height / shrink), round(width / shrink)), (height, width)]
    for size in sizes["size" in model.fixed :]:
        try:
            return _observe(model, next(model.parameters()).new_zeros(1, spec.channels, spec.frames, *size))
        except (RuntimeError, ValueError):  # too small for a pooling of this network
            continue
    return []


def _observe(model: Any, clip: Tensor) -> list[tuple[str, str]]:
    """The pairs, of one run."""
    readers = _Readers()
    taken: dict[str, int] = {}
    runs: dict[str, int] = defaultdict(int)

    def layer_gives(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            runs[name] += 1
            if isinstance(output, Tensor):
                readers.made_by[id(output)] = name
                readers.alive.append(output)

        return hook

    def norm_takes(name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            runs[name] += 1
            readers.inside = id(args[0]) if args else None
            if readers.inside in readers.made_by:
                taken[name] = readers.inside

        return hook

    def norm_ends(module: nn.Module, args: Any, output: Any) -> None:
        readers.inside = None

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, _ConvNd | nn.Linear) and not isinstance(module, _ConvTransposeNd):
                hooks.enter_context(_removed(module.register_forward_hook(layer_gives(name))))
            elif isinstance(module, _BatchNorm):
                hooks.enter_context(_removed(module.register_forward_pre_hook(norm_takes(name))))
                hooks.enter_context(_removed(module.register_forward_hook(norm_ends)))
        with readers:
            model.outputs(clip)
    pairs = [
        (readers.made_by[number], norm)
        for norm, number in taken.items()
        if readers.reads[number] == readers.own[number]
    ]
    return [(layer, norm) for layer, norm in pairs if runs[layer] == runs[norm] == 1]


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    """A hook that is taken away again."""
    try:
        yield
    finally:
        handle.remove()


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer is nothing but its forward: no hooks that see what it gives, no parametrised weights."""
    hooked = layer._forward_hooks or layer._forward_pre_hooks
    return not hooked and not nn.utils.parametrize.is_parametrized(layer) and isinstance(layer.weight, Tensor)


def _rest(norm: nn.Module) -> nn.Module | None:
    """What is left of a norm once its numbers are in the layer before it; None where it cannot be told."""
    if norm._forward_hooks or norm._forward_pre_hooks or norm.running_mean is None:
        return None
    inside = [module for name, module in norm.named_children() if not isinstance(module, nn.Identity)]
    if len(inside) > 1:
        return None
    return inside[0] if inside else nn.Identity()


def _merge(layer: Any, norm: Any) -> nn.Module | None:
    """The layer with the norm in its numbers; None where their channels do not fit."""
    weight, mean = layer.weight.double(), norm.running_mean.double()
    if weight.shape[0] != len(mean):
        return None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = torch.zeros_like(mean)
    if norm.weight is not None:
        scale, shift = scale * norm.weight.double(), norm.bias.double()
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.double()
    merged = copy.deepcopy(layer)
    dtype = layer.weight.dtype
    shape = (-1, *[1] * (weight.ndim - 1))
    merged.weight = nn.Parameter((weight * scale.reshape(shape)).to(dtype), requires_grad=False)
    merged.bias = nn.Parameter(((bias - mean) * scale + shift).to(dtype), requires_grad=False)
    return merged


def _agree(layer: Any, norm: nn.Module, rest: nn.Module) -> bool:
    """Whether the folded layer computes what layer and norm do, on a small input in float64."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (2, layer.in_features)
    else:
        shape = (
            2,
            layer.in_channels,
            *((k - 1) * d + 2 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)),
        )
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    layer, norm = copy.deepcopy(layer).cpu().double(), copy.deepcopy(norm).cpu().double()
    folded = _merge(layer, norm)
    assert folded is not None
    try:
        expected, found = norm(layer(x)), copy.deepcopy(rest).cpu().double()(folded(x))
    except (RuntimeError, ValueError):  # a layer that takes other inputs than its type says
        return False
    return expected.shape == found.shape and bool(torch.allclose(expected, found, rtol=1e-9, atol=1e-9))
