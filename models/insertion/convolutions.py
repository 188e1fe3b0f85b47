"""Convolutions of a network, replaced: ``replace_conv(network, "dcd@layer3, phc(n=2)@layer4.0.conv2")``.

The grammar is that of blocks (`specvid.models.insertion.grammar`). A place is a module: a convolution, or anything that
has some, of which those that the replacement can stand for are replaced; the report names the others. Each starts from
the convolution that it replaces; parameter names of all else stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from specvid.models.blocks import list_blocks
from specvid.models.convolutions import CONVOLUTIONS, Convolution, StaticConvolution, convolution_from
from specvid.models.convolutions.registry import ConvolutionEntry
from specvid.models.convolutions.spec import is_convolution
from specvid.models.insertion.anybody import stages_of
from specvid.models.insertion.grammar import Insertion, format_blocks, parse_blocks
from specvid.models.insertion.inserted_block import InsertedBlock, run_after, run_before
from specvid.models.insertion.parts import list_parts
from specvid.models.insertion.places import find_module
from specvid.models.stages import STAGE_WRAPPERS


@dataclass(frozen=True)
class ReplacementReport:
    """What became of the convolutions at some places.

    Attributes:
        replaced: Name of the replacement, by the path of the convolution.
        starts: How each starts (`specvid.models.convolutions.base.Convolution`), by its path.
        left: Why a convolution was left, by its path.
    """

    replaced: Mapping[str, str]
    starts: Mapping[str, str]
    left: Mapping[str, str]

    def __str__(self) -> str:
        kinds = Counter((name, self.starts[path]) for path, name in self.replaced.items())
        text = ", ".join(f"{count} x {name} (start: {start})" for (name, start), count in kinds.items())
        if self.left:
            reasons = "; ".join(f"{path}: {why}" for path, why in list(self.left.items())[:3])
            text += f"; {len(self.left)} left as they are ({reasons}{', ...' if len(self.left) > 3 else ''})"
        return text


def replace_conv(module: nn.Module, convolutions: str) -> ReplacementReport:
    """Replace convolutions of a network, in place.

    Most replacements start as exactly the convolutions they replace, others near them: the report says which. New
    parameters belong into an optimiser that exists already. A model of specvid keeps in its config what was replaced.

    Args:
        module: Any network, or a model of specvid, whose backbone is meant.
        convolutions: What replaces which, e.g. ``"dcd@layer3"`` or ``"linear_conv(weight=0.1)@layer4.0.conv2"``.

    Returns:
        What was replaced, and what was left and why.

    Raises:
        ValueError: An unknown replacement, option or place, or one at which nothing can be replaced; then nothing is
            changed.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"replace_conv: {type(module).__name__} is no nn.Module; the order is replace_conv(network, ...)"
        )
    config, aliases, network = _parts(module)
    insertions = parse_blocks(convolutions, what="conv")
    report = replace_convolutions(network, insertions, aliases)
    if config is not None:
        config["conv"] = ", ".join(filter(None, (config.get("conv"), format_blocks(insertions))))
    return report


def replace_convolutions(
    network: nn.Module, insertions: tuple[Insertion, ...], aliases: Mapping[str, str]
) -> ReplacementReport:
    """Replace convolutions of a network, in place; the global random state is left as it was.

    Args:
        network: Is changed.
        insertions: What replaces which.
        aliases: Short names of places.

    Returns:
        What was replaced, and what was left and why.

    Raises:
        ValueError: As `replace_conv`; nothing is changed then.
    """
    planned: dict[str, Convolution] = {}
    left: dict[str, str] = {}
    with torch.random.fork_rng(devices=[]):
        for insertion in insertions:
            made, reasons = _plan(network, insertion, aliases, planned)
            planned, left = planned | made, left | reasons
    for path, layer in planned.items():
        _put(network, path, layer)
    names = {path: layer.config.name for path, layer in planned.items()}
    return ReplacementReport(names, {path: layer.start for path, layer in planned.items()}, left)


def merge_conv(module: nn.Module) -> list[str]:
    """Make plain convolutions again of those replacements whose kernel does not depend on what is seen, in place.

    The network computes the same, as fast as before they were replaced: ``linear_conv``, ``phc`` and ``bt``.

    Args:
        module: A network that `replace_conv` changed, or a model of specvid.

    Returns:
        The paths of the convolutions.
    """
    config, _, network = _parts(module)
    found = [path for path, layer in network.named_modules() if isinstance(layer, StaticConvolution)]
    for path in found:
        layer = network.get_submodule(path)
        assert isinstance(layer, StaticConvolution)
        _put(network, path, layer.to_convolution())
    if config is not None and config.get("conv"):
        kept = [one for one in parse_blocks(config["conv"]) if not _is_static(one)]
        config["conv"] = format_blocks(tuple(kept))
    return found


def replacement_names(network: nn.Module, insertions: tuple[Insertion, ...], aliases: Mapping[str, str]) -> set[str]:
    """Names of tensors that the network would have after its convolutions were replaced, and has not now.

    Args:
        network: The network, which is not changed.
        insertions: What replaces which.
        aliases: Short names of places.

    Returns:
        The names. They tell weights of the network with replacements from weights of the bare one.
    """
    own: set[str] = set()
    with torch.random.fork_rng(devices=[]):
        for insertion in insertions:
            made, _ = _plan(network, insertion, aliases, {})
            own |= {f"{path}.{key}" for path, layer in made.items() for key in layer.state_dict()}
    return {name for name in own if not name.endswith((".conv.weight", ".conv.bias"))} - set(network.state_dict())


def _plan(
    network: nn.Module, insertion: Insertion, aliases: Mapping[str, str], planned: Mapping[str, Convolution]
) -> tuple[dict[str, Convolution], dict[str, str]]:
    """The replacements of one insertion by path, and why convolutions at its place are left."""
    text = f"conv: {str(insertion)!r}"
    entry = _find(insertion.block, text)
    if insertion.place.count is not None:
        raise ValueError(f"{text}: convolutions are not spread over a stage; name the place without ':N'")
    place = find_module(network, insertion.place.path, aliases)
    found = _convolutions(network, place)
    if not found:
        raise ValueError(f"{text}: there is no convolution in {place!r} that is not replaced already")
    made: dict[str, Convolution] = {}
    left: dict[str, str] = {}
    for path in found:
        conv = network.get_submodule(path)
        for other, layer in planned.items():
            if network.get_submodule(other) is conv:
                raise ValueError(f"{text}: {path!r} is replaced by {layer.config.name!r} already")
        try:
            made[path] = convolution_from(conv, entry.name, **dict(insertion.options))
        except ValueError as error:
            left[path] = str(error)
    if not made:
        raise ValueError(f"{text}: {next(iter(left.values()))}")
    return made, left


def _find(name: str, text: str) -> ConvolutionEntry:
    """The replacement of this name, or where a name belongs that is something else's."""
    if name == "g_ghost":
        raise ValueError(f"{text}: 'g_ghost' makes ghosts of whole stages: it is the backbone 'g_ghost_regnet_x_3_2gf'")
    if name in list_blocks() or name in list_parts() or name in STAGE_WRAPPERS:
        raise ValueError(f"{text}: {name!r} replaces no convolution, it is inserted: give it to blocks= (--blocks)")
    return CONVOLUTIONS.find(name)


def _convolutions(network: nn.Module, place: str) -> list[str]:
    """Paths of the convolutions in a module that are in no inserted block and no replacement."""
    closed = tuple(
        f"{path}." for path, module in network.named_modules() if isinstance(module, (InsertedBlock, Convolution))
    )
    inside = network.get_submodule(place)
    paths = (f"{place}.{path}" if path else place for path, module in inside.named_modules() if is_convolution(module))
    return [path for path in paths if not path.startswith(closed)]


def _is_static(insertion: Insertion) -> bool:
    return issubclass(CONVOLUTIONS.find(insertion.block).build, StaticConvolution)


def _put(network: nn.Module, path: str, new: nn.Module) -> None:
    """Put a layer into a convolution's place: all its places, where a network uses it at several."""
    old = network.get_submodule(path)
    places = [name for name, module in network.named_modules(remove_duplicate=False) if module is old]
    _move_blocks(old, new)
    for place in places:
        parent, _, child = place.rpartition(".")
        network.get_submodule(parent)._modules[child] = new


def _move_blocks(old: nn.Module, new: nn.Module) -> None:
    """Blocks that stand before or behind a convolution, as children that its hooks run, go with the place."""
    for name, child in list(old.named_children()):
        if isinstance(child, InsertedBlock):
            del old._modules[name]
            new.add_module(name, child)
    for key in [key for key, hook in old._forward_pre_hooks.items() if hook is run_before]:
        del old._forward_pre_hooks[key]
        new.register_forward_pre_hook(run_before)
    for key in [key for key, hook in old._forward_hooks.items() if hook is run_after]:
        del old._forward_hooks[key]
        new.register_forward_hook(run_after)


def _parts(module: nn.Module) -> tuple[dict[str, Any] | None, Mapping[str, str], nn.Module]:
    """Of a model of specvid its config, short names and backbone; of any other network None, what it has, itself."""
    config = getattr(module, "config", None)
    if isinstance(config, dict) and {"blocks", "name"} <= config.keys():
        aliases: Any = module.aliases
        return config, aliases, module.get_submodule("backbone")
    return None, stages_of(module), module
