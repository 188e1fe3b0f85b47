"""One of mmaction2's networks, built and initialised as mmaction2 does it, but never with downloads."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from specvid.errors import unknown
from specvid.extras import require
from specvid.models.backbones.mmaction2.families import FAMILIES
from specvid.models.backbones.mmaction2.interlace import make_tin_run
from specvid.models.spec import InputSpec

EXTRA = "mmaction"


def build_network(name: str, options: Mapping[str, Any], *, what: str) -> nn.Module:
    """Build an instance of one of mmaction2's backbone classes, randomly initialised.

    Args:
        name: The class.
        options: Its options.
        what: Begins the messages.

    Returns:
        The network.

    Raises:
        ValueError: The class is no backbone of a recognizer, an option is unknown, or mmaction2 refuses the options.
    """
    require("mmaction.models", extra=EXTRA, what=what)
    from mmaction.registry import MODELS
    from mmengine.model.utils import revert_sync_batchnorm
    from mmengine.registry import DefaultScope

    if name not in FAMILIES:
        raise unknown(f"{what}: class", name, FAMILIES)
    kind = MODELS.get(name)
    known = option_names(kind)
    for option in options:
        if option not in known:
            raise unknown(f"option of {what}:", option, known - _OURS)
    settings = without_pretrained({**FAMILIES[name].defaults, **options})
    settings |= {name: value for name, value in (("pretrained", None), ("pretrained2d", False)) if name in known}
    make_tin_run()
    try:
        with DefaultScope.overwrite_default_scope("mmaction"), quietly():
            network = kind(**settings)
            if not any(parameter.is_meta for parameter in network.parameters()):
                network.init_weights()
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        given = ", ".join(f"{option}={value!r}" for option, value in options.items()) or "no options"
        raise ValueError(f"{what} cannot be built with {given}: {type(error).__name__}: {error}") from error
    return revert_sync_batchnorm(network)  # on CPUs it does not run; weights have the same names


def network_input(name: str, network: Any, spec: InputSpec) -> tuple[InputSpec, dict[str, str]]:
    """The clips of a network, with the length and size for which it was built, where it was built for one.

    Args:
        name: Class of the network.
        network: An instance of it.
        spec: The clips of the class's usual config.

    Returns:
        The clips, and the fields of them that are fixed, each with the option that sets it.
    """
    family = FAMILIES[name]
    changes: dict[str, Any] = {}
    fixed: dict[str, str] = {}
    if family.frames:
        fixed["frames"] = family.frames
        changes["frames"] = int(getattr(network, family.frames))
    if family.size:
        fixed["size"] = family.size
        height, width = network.patch_embed.img_size
        changes["size"] = height if height == width else (height, width)
        if spec.crop != (height, width):
            changes["resize"] = changes["size"]
    return replace(spec, **changes), fixed


_OURS = {"pretrained", "pretrained2d", "init_cfg", "in_channels", "torchvision_pretrain"}


def option_names(kind: type) -> set[str]:
    """The options of a class, with those that its bases take through ``**kwargs``.

    Args:
        kind: The class.

    Returns:
        Names of constructor arguments.
    """
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def without_pretrained(options: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of options in which nothing, at any depth, asks for weights from elsewhere.

    Args:
        options: Options of a backbone.

    Returns:
        The copy.
    """
    plain: dict[str, Any] = {}
    for name, value in options.items():
        if name == "pretrained" or (name == "init_cfg" and "Pretrained" in str(value)):
            plain[name] = None
        elif isinstance(value, Mapping):
            plain[name] = without_pretrained(value)
        else:
            plain[name] = copy.deepcopy(value)
    return plain


@contextmanager
def quietly() -> Iterator[None]:
    """Context in which mmengine does not report the initialisation of each parameter.

    Yields:
        Nothing.
    """
    import logging

    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
