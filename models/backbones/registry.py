"""The registry of backbones.

Every module of this folder is imported on the first look-up, so a new backbone is a new file with one decorated
function, and importing `specvid.models` costs nothing.

A name such as ``timm:resnet18`` is one of another library's models: what comes before the colon is a scheme, known by
the second decorator, whose one function builds whatever comes after it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from specvid.errors import unknown
from specvid.models.insertion.grammar import parse_name
from specvid.models.spec import Backbone, BackboneConfig
from specvid.registry import Registry

Builder = TypeVar("Builder", bound=Callable[..., Backbone])

_BUILDERS: Registry[Callable[..., Backbone]] = Registry("backbone")
_SCHEMES: Registry[Callable[..., Backbone]] = Registry("scheme")


def register_backbone(name: str) -> Callable[[Builder], Builder]:
    """Decorator that makes a builder known as a backbone.

    Args:
        name: Of the backbone.

    Returns:
        The decorator, for a function with keyword-only options that returns a `Backbone`; it returns the function.

    Raises:
        ValueError: The name is taken.
    """
    return _BUILDERS.register(name)


def register_scheme(scheme: str) -> Callable[[Builder], Builder]:
    """Decorator that makes a function build all backbones of another library, called ``scheme:name``.

    The function imports its library itself (`specvid.extras.require`), and answers wrong names and options.

    Args:
        scheme: What stands before the colon.

    Returns:
        The decorator, for a function ``(name, /, **options) -> Backbone``; it returns the function.

    Raises:
        ValueError: The scheme is taken.
    """
    return _SCHEMES.register(scheme)


def list_backbones() -> list[str]:
    """Names that `create_model` takes; those of other libraries (``scheme:name``) are too many to list.

    Returns:
        The names, sorted.
    """
    return sorted(_builders())


def list_schemes() -> list[str]:
    """What may stand before the colon in ``scheme:name``.

    Returns:
        The schemes, sorted.
    """
    _builders()
    return sorted(_SCHEMES)


def build_backbone(name: str, **options: Any) -> Backbone:
    """Build a backbone, randomly initialised.

    Args:
        name: Of `list_backbones`, or ``scheme:name``; options may follow in brackets: ``"i3d_r50(variant=slowfast)"``.
        **options: Options of that backbone, e.g. ``last_stride=1`` of ``resnet50``.

    Returns:
        The backbone.

    Raises:
        ValueError: The name or an option is unknown, an option has no such value, or is given in the name too.
    """
    bare, named = parse_name(name)
    for option in named:
        if option in options:
            raise ValueError(f"backbone {name!r}: option {option!r} is given in the name and again; give it once")
    backbone = _build(bare, {**named, **options})
    if named and backbone.config is None:
        return replace(backbone, config=BackboneConfig(bare, {**named, **options}, {}))
    return backbone


def option_names(name: str) -> list[str] | None:
    """The options of a backbone, in order.

    Args:
        name: as for `build_backbone`.

    Returns:
        Their names; None where another library takes any and answers for them itself.

    Raises:
        ValueError: The name is unknown.
    """
    parameters = inspect.signature(_builder(parse_name(name)[0])).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return [option for option, parameter in parameters.items() if parameter.kind is not parameter.POSITIONAL_ONLY]


# networks that are known by other names, and what builds them here: how a name begins -> the name
_ELSEWHERE = {
    "slowfast": "mmaction:ResNet3dSlowFast",
    "slowonly": "mmaction:ResNet3dSlowOnly",
    "x3d": "mmaction:X3D",
    "slow_": "mmaction:ResNet3dSlowOnly",
    "csn": "mmaction:ResNet3dCSN",
    "ircsn": "mmaction:ResNet3dCSN",
    "c3d": "mmaction:C3D",
    "timesformer": "mmaction:TimeSformer",
    "tanet": "mmaction:TANet",
    "tsn": "resnet50",
    "tin": "mmaction:ResNetTIN",
    "tsm": "resnet50' with blocks='tsm@residual",
    "c2d": "resnet50",
    "r2plus1d": "r2plus1d_18",
    "vit": "timm:vit_base_patch16_224",
    "deit": "timm:deit_base_patch16_224",
    "i3d": "i3d_r50' or 'i3d_inception",
}


def _unknown_backbone(name: str, builders: Iterable[str]) -> ValueError:
    """The error for a name of no backbone."""
    lower = name.lower()
    found = max((start for start in _ELSEWHERE if lower.startswith(start)), key=len, default="")
    if not found:
        return unknown("backbone", name, builders)
    schemes = "`specvid models` lists all; other libraries' are mmaction:NAME, timm:NAME and inflated:NAME"
    return ValueError(f"backbone {name!r} is unknown. Did you mean '{_ELSEWHERE[found]}'? {schemes}.")


def _build(name: str, options: dict[str, Any]) -> Backbone:
    """The backbone called ``name``, without options in its name."""
    builder = _builder(name)
    _check_options(name, builder, options)
    _, colon, of_scheme = name.partition(":")
    return builder(of_scheme, **options) if colon else builder(**options)


def _builder(name: str) -> Callable[..., Backbone]:
    """What builds a backbone: its own function, or that of its scheme."""
    builders = _builders()  # which makes the schemes known too
    scheme, colon, _ = name.partition(":")
    if colon and scheme not in _SCHEMES:
        raise unknown(f"backbone {name!r}: scheme", scheme, _SCHEMES)
    if not colon and name not in builders:
        raise _unknown_backbone(name, builders)
    return _SCHEMES[scheme] if colon else builders[name]


def _check_options(name: str, builder: Callable[..., Backbone], options: dict[str, Any]) -> None:
    """``ValueError`` for an option that the builder does not name, unless it takes any and answers for them itself."""
    parameters = inspect.signature(builder).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [option for option, parameter in parameters.items() if parameter.kind is not parameter.POSITIONAL_ONLY]
    for option in options:
        if option not in known:
            if not known:
                raise ValueError(f"option {option!r} of backbone {name!r} is unknown: {name} takes no options")
            raise unknown(f"option of backbone {name!r}:", option, known)


def _builders() -> dict[str, Callable[..., Backbone]]:
    package = importlib.import_module("specvid.models.backbones")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _BUILDERS
