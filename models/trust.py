"""The one door for descriptions of models that lie in files: what can name code is refused, unless the user trusts it.

A description is a name and options of a backbone. Those of specvid are numbers and names of its own. Other libraries
take more: mmaction2 runs config files as programs, and builds whatever Python object ``type`` or ``init_cfg`` names. So
of their backbones only plain ones pass: a known class, with numbers, words and the usual layers as options. Not even
the runs of this user and machine are exempt: nothing in a folder proves who wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from specvid.models.insertion.grammar import parse_name

_OWN = ("inflated",)  # schemes whose options name nothing
_NUMBERS = ("hf", "clip")  # folders, or names on the Hub, of which numbers alone are read
_WORD = re.compile(r"[\w+-]*")  # no path, no dotted name, no address
_CODE = {"init_cfg", "custom_imports", "custom_hooks", "hooks", "_base_", "_delete_"}
_CODE |= {"pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}
_LAYERS = {"Conv", "Conv1d", "Conv2d", "Conv3d", "Conv2plus1d", "BN", "BN1d", "BN2d", "BN3d", "SyncBN", "GN", "LN"}
_LAYERS |= {"IN", "IN1d", "IN2d", "IN3d", "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "GELU", "Sigmoid", "Tanh"}
_LAYERS |= {"Swish", "HSwish", "HSigmoid", "resnet2d", "resnet3d"}
_DEEPEST = 20


def require_trust(model: Mapping[str, Any], *, where: str, trusted: bool = False) -> None:
    """Refuse a model that could run code of whoever described it.

    Args:
        model: Arguments of `specvid.create_model`, as a file has them.
        where: The file, for the message.
        trusted: The user vouches for it: nothing is refused.

    Raises:
        ValueError: It can name code, and is not trusted.
    """
    found = "" if trusted else names_code(model)
    if found:
        raise ValueError(
            f"{where} describes the model {str(model.get('name'))[:100]!r} of another library with {found}, which may "
            "run any code. Look at the file; if it is fine, pass --trust (in Python: trusted=True)."
        )


def names_code(model: Mapping[str, Any]) -> str:
    """What in the description of a model can name code.

    Args:
        model: Arguments of `specvid.create_model`.

    Returns:
        Half a sentence; empty where nothing can.
    """
    full = str(model.get("name", ""))
    try:
        bare, options = parse_name(full)
    except ValueError:  # whoever builds it raises the error
        bare, options = full, {}
    scheme, colon, name = bare.partition(":")
    if not colon or scheme in _OWN:
        return ""
    model = {**model, **options}
    if scheme == "mmaction":
        from specvid.models.backbones.mmaction2.families import FAMILIES

        if name not in FAMILIES:
            return f"the config file {name[:100]!r}, a program"
    elif scheme in _NUMBERS:
        pass
    elif scheme != "timm" or not re.fullmatch(r"[\w.-]+", name):
        return f"the name {name[:100]!r}"
    return _find(model, (), {"name", "blocks", "input"})


def _find(value: Any, path: tuple[str, ...], skip: set[str]) -> str:
    """The first thing at any depth that is not plain; ``skip``: entries that are specvid's own."""
    what = f"{'.'.join(path)[:100]} = {str(value)[:100]!r}"
    if len(path) > _DEEPEST:
        return f"options {_DEEPEST} deep"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in skip:
                continue
            here = (*path, str(key))
            if key in _CODE and item is not None and item is not False:
                return f"{'.'.join(here)} = {str(item)[:100]!r}"
            if key == "type" and not (isinstance(item, str) and item in _LAYERS):
                return f"{'.'.join(here)} = {str(item)[:100]!r}"
            if found := _find(item, here, set()):
                return found
        return ""
    if isinstance(value, list | tuple):
        return next(filter(None, (_find(item, path, set()) for item in value)), "")
    if value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return ""
    return what
