"""Places of a network: where a block can stand, what a place of the insertion grammar means, and what flows there.

A stage of the network is a container (``nn.Sequential``, ``nn.ModuleList``). Places have the semantics of
``list.insert`` on it:

    layer3.2      before child 2 of layer3         layer3.-1    before its last child
    layer3.end    after its last child             layer3       = layer3.-1, the papers' default
    layer3:5      five blocks spread evenly over it; the last one is always layer3.-1, so layer3:1 = layer3; of six
                  children, five blocks fill all gaps between them, three stand before every second one, and twelve
                  stand in pairs before each
    res4          = layer3, where the backbone has such aliases
    residual      before the first layer of every residual branch, where TSM shifts; layer3.residual: those in layer3

Any other module is a place too: ``layer3.0.relu`` is before it runs, ``layer3.0.relu.end`` after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from specvid.errors import nearest
from specvid.models.insertion.grammar import Place

_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Site:
    """A resolved place: right before or right behind a module.

    Attributes:
        target: Path of the module.
        after: Whether it is behind it.
    """

    target: str
    after: bool = False


@dataclass(frozen=True)
class Call:
    """What one module was given and what it gave in one forward pass.

    Attributes:
        input: Shape of its first argument; None: no tensor.
        output: Shape of its result; None: no tensor.
        calls: How often it ran.
        input_grid: The grid that came with tokens.
        output_grid: The grid that it gave with tokens.
    """

    input: tuple[int, ...] | None
    output: tuple[int, ...] | None
    calls: int
    input_grid: tuple[int, ...] | None = None
    output_grid: tuple[int, ...] | None = None


class PlaceError(ValueError):
    """A place that a network does not have: who knows what the network is called may say so."""


def resolve(network: nn.Module, place: Place, aliases: Mapping[str, str]) -> list[Site]:
    """The sites that a place means.

    Args:
        network: The bare network.
        place: A path, perhaps an alias, with a count or not.
        aliases: Short names of places.

    Returns:
        The sites, in the order in which data passes them.

    Raises:
        PlaceError: The place is unknown, or no stage to spread blocks over.
    """
    first, dot, rest = place.path.partition(".")
    parts = f"{aliases.get(first, first)}{dot}{rest}".split(".")
    if parts[-1] == "residual":
        return _residual(network, parts[:-1], place, aliases)
    at_end = parts[-1] == "end"
    target = _walk(network, parts[:-1] if at_end else parts, place, aliases)
    children = container_children(network.get_submodule(target))
    if place.count is not None:
        if at_end or not children:
            raise PlaceError(
                f"place '{place}': {place.path!r} is not a stage to spread blocks over. {place_help(network, aliases)}"
            )
        ceilings = (-(-step * len(children) // place.count) for step in range(1, place.count + 1))
        return [Site(_join(target, children[ceiling - 1])) for ceiling in ceilings]
    if not children or (not at_end and _NUMBER.fullmatch(parts[-1])):  # a module, or a child named by its index
        return [Site(target, after=at_end)]
    return [Site(_join(target, children[-1]), after=at_end)]


def find_module(network: nn.Module, path: str, aliases: Mapping[str, str]) -> str:
    """The module that a path means, and nothing before or behind it.

    Args:
        network: Any network.
        path: A module path, perhaps with an alias or negative indices.
        aliases: Short names of places.

    Returns:
        Its path in the network.

    Raises:
        ValueError: There is none.
    """
    first, dot, rest = path.partition(".")
    return _walk(network, f"{aliases.get(first, first)}{dot}{rest}".split("."), Place(path), aliases)


def trace(network: nn.Module, probe: tuple[int, ...] | Tensor) -> dict[str, Call]:
    """Record what each module sees when a network runs.

    Args:
        network: Any network; it is not changed.
        probe: Shape of an input, on which it runs on the meta device, so at no cost; or an input itself, on which it
            runs in eval mode.

    Returns:
        What each module was given and gave, by its path; those that did not run are left out.
    """
    seen: dict[str, Call] = {}

    def watch(path: str, module: nn.Module) -> RemovableHandle:
        def hook(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            calls = seen[path].calls + 1 if path in seen else 1
            grid = call_grid(output)
            given = _shape(output if grid is None else output[0])  # type: ignore[index]
            seen[path] = Call(_shape(args[0] if args else None), given, calls, call_grid(args), grid)

        return module.register_forward_hook(hook)

    handles = [watch(path, module) for path, module in network.named_modules()]
    try:
        with torch.no_grad():
            if isinstance(probe, Tensor):
                _run_in_eval(network, probe)
            else:
                state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
                meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
                torch.func.functional_call(network, meta, (torch.empty(probe, device="meta"),))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _run_in_eval(network: nn.Module, x: Tensor) -> None:
    """Run a network without a trace in its norms; each module is afterwards in the mode in which it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        network(x)
    finally:
        for module, training in modes.items():
            module.training = training


def stages(network: nn.Module) -> dict[str, int]:
    """The stages of a network: containers, within containers only, whose children are mostly composite.

    Args:
        network: Any network.

    Returns:
        Path -> number of children.
    """
    found: dict[str, int] = {}
    for name, module in network.named_children():
        children = list(module.children()) if container_children(module) else []
        composite = sum(1 for child in children if next(child.children(), None) is not None)
        if composite and 2 * composite >= len(children):
            found[name] = len(children)
            found |= {f"{name}.{path}": count for path, count in stages(module).items()}
    return found


def container_children(module: nn.Module) -> list[str]:
    """Names of the children of a container.

    Args:
        module: Any module.

    Returns:
        The names of an ``nn.Sequential`` or ``nn.ModuleList``; empty for any other module.
    """
    return list(module._modules) if isinstance(module, (nn.Sequential, nn.ModuleList)) else []


def call_grid(value: object) -> tuple[int, ...] | None:
    """The grid that comes with tokens.

    Args:
        value: Arguments or result of a module.

    Returns:
        The grid of ``(tokens, grid)``; None for anything else.
    """
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[1], (tuple, list)):
        return None
    return tuple(value[1]) if all(isinstance(size, (int, torch.SymInt)) for size in value[1]) else None


def residual_branches(network: nn.Module) -> list[str]:
    """Where the residual branches of a network begin.

    Args:
        network: Any network.

    Returns:
        Paths of the first layer of each, in order; blocks without a shortcut have none.
    """
    found = ((path, _first_layer(module)) for path, module in network.named_modules())
    return [f"{path}.{layer}" if path else layer for path, layer in found if layer]


def _first_layer(block: nn.Module) -> str:
    """The name of the first layer within ``block``; "" where it is no residual block."""
    children = dict(block.named_children())
    if "conv1" in children and hasattr(block, "downsample") and "conv2" in children:  # ResNets, everybody's
        return "conv1"
    if getattr(block, "use_res_connect", False):  # torchvision: MobileNet v2 and v3, EfficientNet
        return next((f"{name}.0" for name in ("conv", "block") if name in children), "")
    if getattr(block, "has_skip", False) and "conv_pw" in children and "conv_dw" in children:  # timm: the same
        return "conv_pw" if "conv_pwl" in children else "conv_dw"
    if isinstance(getattr(children.get("f"), "a", None), nn.Module):  # torchvision: RegNet
        return "f.a"
    return ""


def _residual(network: nn.Module, parts: list[str], place: Place, aliases: Mapping[str, str]) -> list[Site]:
    stage = _walk(network, parts, place, aliases)
    branches = [path for path in residual_branches(network) if f"{path}.".startswith(f"{stage}." if stage else "")]
    if place.count is not None or not branches:
        why = "it is all residual branches already" if branches else "no residual branches of convolutions are known"
        where = f" in {stage!r}" if stage else " in this backbone"
        raise PlaceError(f"place '{place}': {why}{where}. {place_help(network, aliases)}")
    return [Site(path) for path in branches]


def _walk(network: nn.Module, parts: list[str], place: Place, aliases: Mapping[str, str]) -> str:
    """The path of the module that ``parts`` lead to, with negative indices made real names."""
    here = ""
    for part in parts:
        module = network.get_submodule(here)
        children = container_children(module)
        where = repr(here) if here else "the backbone"
        if part in module._modules:
            here = _join(here, part)
        elif children and _NUMBER.fullmatch(part):
            if not -len(children) <= int(part) < len(children):
                raise PlaceError(
                    f"place '{place}': {where} has {len(children)} children, {part} is out of range; "
                    f"use 0 to {len(children) - 1}, -1 to -{len(children)}, or 'end'"
                )
            here = _join(here, children[int(part)])
        else:
            paths = [*aliases, *(path for path, _ in network.named_modules() if path)]
            hint = nearest(place.path, paths)
            raise PlaceError(
                f"place '{place}' is unknown: {where} has no {part!r}.{hint} {place_help(network, aliases)}"
            )
    return here


def place_help(network: nn.Module, aliases: Mapping[str, str]) -> str:
    """A sentence that names the places of a backbone.

    Args:
        network: The bare network.
        aliases: Short names of places.

    Returns:
        The sentence.
    """
    listed = [f"{path} (0 to {count - 1}, -1, end)" for path, count in stages(network).items()]
    listed = listed or [name for name, _ in network.named_children()]
    short = ", ".join(f"{name} = {path}" for name, path in aliases.items())
    return f"Places of this backbone: {', '.join(listed)}{f'; short names: {short}' if short else ''}."


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
