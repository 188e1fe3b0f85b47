"""Frozen dataclasses to JSON and back, strictly: a misspelt key in a saved config never trains something else."""

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from specvid.errors import unknown
from specvid.reading import read_json

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as what JSON knows.

    Args:
        config: a dataclass, perhaps with dataclasses in it.

    Returns:
        Its fields; tuples become lists.
    """
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(kind: type[Config], content: Mapping[str, Any], *, where: str = "config") -> Config:
    """The inverse of `to_dict`.

    Args:
        kind: the dataclass.
        content: its fields; those that are left out take their defaults.
        where: what the content is of, for error messages.

    Returns:
        The dataclass.

    Raises:
        ValueError: an unknown key, or a value of another type.
    """
    types_of = get_type_hints(kind)
    hints = {field.name: types_of[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in hints:
            raise unknown(f"{where}: key", key, hints)
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise ValueError(f"{where}: {key} is {value!r}; it must be an object with keys of its own.")
            values[key] = from_dict(hints[key], value, where=f"{where}: {key}")
        else:
            value = tuple(value) if isinstance(value, list) else value
            if not _fits(value, hints[key]):
                raise ValueError(f"{where}: {key} is {value!r}; it must be {_in_words(hints[key])}.")
            values[key] = value
    return kind(**values)


def read_config(kind: type[Config], path: str | Path) -> Config:
    """Read the config.json of a run.

    Args:
        kind: the dataclass that it is of.
        path: the file.

    Returns:
        The dataclass.

    Raises:
        ValueError: the file is missing, is no JSON, or does not fit; it is named.
    """
    content = read_json(path)
    task, own = content.get("task"), getattr(kind, "task", None)
    if task and own and task != own:
        raise ValueError(f"config {str(path)!r} is of the task {task!r}, not of {own!r}: use `specvid train {task}`.")
    settings = {key: value for key, value in content.items() if key not in ("specvid", "task")}
    return from_dict(kind, settings, where=f"config {path}")


def differences(a: Mapping[str, Any], b: Mapping[str, Any], *, but: frozenset[str] = frozenset()) -> list[str]:
    """How two configs differ.

    Args:
        a: from `to_dict`.
        b: likewise.
        but: keys, at any depth, that may differ.

    Returns:
        ``"key: old -> new"`` for each setting that differs.
    """
    found: list[str] = []
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key), b.get(key)
        if key in but or left == right:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differences(left, right, but=but)
        else:
            found.append(f"{key}: {left!r} -> {right!r}")
    return found


# What more would take all memory or time before anything is said; somebody else's config may ask for it.
_MOST = {
    **{"epochs": 1_000_000, "batch_size": 1_000_000, "clips": 10_000, "test_clips": 10_000},
    **{"workers": 256, "devices": 256, "nodes": 1024},
}
_MOST_OTHERS = 10**15


def require_at_least(config: Any, **least: int) -> None:
    """Check numbers of a config, which must not be beyond all sense either.

    Args:
        config: a dataclass.
        least: for each of some fields, the least value that it may have, or each of its values; None is none.

    Raises:
        ValueError: a field is less, or far too large.
    """
    for name, bound in least.items():
        field, most = getattr(config, name), _MOST.get(name, _MOST_OTHERS)
        for value in field if isinstance(field, tuple) else () if field is None else (field,):
            if value < bound:
                raise ValueError(f"{name} {value} must be at least {bound}.")
            if value > most:
                digits = f"of {len(str(value))} digits" if value > _MOST_OTHERS else f"{value}"
                raise ValueError(f"{name} {digits} must be at most {most:,}: lower it.")


def require_folder(option: str, path: str) -> None:
    """Refuse an empty text where a folder is to be named: it would stand for the working directory.

    Args:
        option: for the message.
        path: as given.

    Raises:
        ValueError: it is empty.
    """
    if not path.strip():
        raise ValueError(f"{option} {path!r} names no folder (a variable of the shell that is not set?): give one.")


def require_share(min_readable: float) -> None:
    """Check the share of frames that must decode.

    Args:
        min_readable: the share.

    Raises:
        ValueError: it lies outside 0 to 1.
    """
    if not 0 <= min_readable <= 1:
        raise ValueError(f"min_readable {min_readable} must be a share, 0 to 1.")


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _in_words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_in_words, arguments))
    if origin is tuple:
        return f"a list of {_in_words(arguments[0])}"
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false", type(None): "null"}
    return names.get(hint, str(hint))
