"""``mmaction:NAME``: a class or a config of mmaction2 -> `Backbone`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from torch import nn

from specvid.errors import unknown
from specvid.extras import require
from specvid.models.backbones.mmaction2.config import RecognizerConfig, find_config, read_config
from specvid.models.backbones.mmaction2.families import FAMILIES, make_tail
from specvid.models.backbones.mmaction2.network import EXTRA, build_network, network_input
from specvid.models.backbones.registry import register_scheme
from specvid.models.insertion.places import trace
from specvid.models.spec import Backbone, BackboneConfig, InputSpec, stack


@register_scheme("mmaction")
def build_mmaction(name: str, /, **options: Any) -> Backbone:
    """Build the backbone of one of mmaction2's recognizers, randomly initialised.

    Args:
        name: A class (``ResNet3d``), the path of a config file, or the name of a config that comes with mmaction2. A
            config also defines the clips. Addresses of pretrained weights in it are ignored: give the file as
            ``weights=`` of `specvid.create_model`.
        **options: Options of the class; with a config they change those of the config.

    Returns:
        The backbone.

    Raises:
        ValueError: The name or an option is unknown, the config does not fit, mmaction2 refuses the options, or
            mmaction2 is not installed.
    """
    what = f"backbone 'mmaction:{name}'"
    require("mmaction.models", extra=EXTRA, what=what)
    if options.get("pretrained") is not None:
        raise ValueError(f"{what}: pretrained={options['pretrained']!r} would be downloaded; give weights=FILE instead")
    path = find_config(name)
    if path is None and name not in FAMILIES:
        raise unknown(f"{what}: class", name, FAMILIES)
    config = RecognizerConfig(name, {}, FAMILIES[name].input) if path is None else read_config(path, what=what)
    config = replace(config, options={**config.options, **options})
    if config.options.get("temporal_pool"):
        raise ValueError(
            f"{what}: temporal_pool is not possible, since the frames behind it must be known; parts do the same: "
            "'mmaction:ResNet' with blocks='tsm@residual, tpool@layer1.end'"
        )
    backbone = _backbone(config, what)
    if path is None:
        return backbone
    return replace(backbone, config=BackboneConfig(f"mmaction:{config.name}", config.options, asdict(backbone.input)))


def _backbone(config: RecognizerConfig, what: str) -> Backbone:
    family, options = FAMILIES[config.name], dict(config.options)
    fc1_bias = bool(options.pop("fc1_bias", False)) if config.name == "X3D" else False
    network = build_network(config.name, options, what=what)
    if family.map_hook is not None:
        network.register_forward_hook(family.map_hook)
    spec, fixed = network_input(config.name, network, config.input)
    children = [name for name, _ in network.named_children() if name.startswith(("conv", "pool"))]
    module = stack(network, *children) if config.name == "C3D" else network  # its hidden layers are its tail
    channels = _channels(module, spec, family.dims, what)
    tail, tail_dim = make_tail(config.name, network, channels, fc1_bias=fc1_bias)
    return Backbone(
        module=module,
        feature_dim=channels,
        input=spec,
        dims=family.dims,
        aliases=family.aliases,
        classifier=family.classifier,
        formats=family.formats(network),
        tail=tail,
        tail_dim=tail_dim,
        fixed=fixed,
    )


def _channels(module: nn.Module, spec: InputSpec, dims: int, what: str) -> int:
    height, width = spec.crop
    shape = (1, 3, spec.frames, height, width) if dims == 3 else (spec.frames, 3, height, width)
    try:
        given = trace(module, shape)[""].output
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise ValueError(f"{what} does not run on clips of shape {shape}: {error}") from error
    if given is None or len(given) != dims + 2:
        raise ValueError(
            f"{what}: it gives no single feature map on clips of shape {shape}, but {given}; name one of out_indices"
        )
    return given[1]
