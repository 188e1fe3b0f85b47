"""Reading a file of weights to a flat dict of tensors: safetensors, or torch, always with ``weights_only=True``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from torch import Tensor

from specvid.reading import parse_json, require_plain
from specvid.torchfile import check_tensors, load_plain

_SAFE = ".safetensors"
SUFFIXES = (_SAFE, ".pth", ".pt", ".ckpt", ".bin")
# where training scripts save the weights inside a checkpoint, most specific first; moving averages come last
WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "blobs", "module"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema"),
)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file, without running code in it.

    Args:
        path: The file (safetensors or torch).

    Returns:
        Tensors by name, on the CPU.

    Raises:
        ValueError: The file is missing or damaged, has no tensors, or needs code to be run.
    """
    return read_checkpoint(path)[0]


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Read the tensors of a file, as `read_weights`, and name other networks in it, such as moving averages.

    Args:
        path: The file (safetensors or torch).

    Returns:
        Tensors by name, on the CPU; and the number of tensors of each other network, by its key in the file.

    Raises:
        ValueError: As of `read_weights`.
    """
    path = Path(path)
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES]
        files += sorted([*path.glob("last/*.safetensors"), *path.glob("best/*.safetensors")], reverse=True)  # of a run
        inside = ", ".join(file.relative_to(path).as_posix() for file in files)
        raise ValueError(
            f"weights {str(path)!r}: this is a folder; give one of the files in it ({inside or 'no weights'})"
        )
    require_plain(path)
    if not path.is_file():
        raise ValueError(f"weights {str(path)!r}: there is no such file")
    state = _read_safetensors(path) if path.suffix == _SAFE else _read_torch(path)
    tensors = _unwrap(state)
    if not tensors:
        kind = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"weights {str(path)!r}: no tensors in it, nor under {', '.join(WRAPPERS)} (found: {kind or 'nothing'})"
        )
    return tensors, other_networks(state)


def other_networks(content: Any) -> dict[str, int]:
    """The networks of a checkpoint besides the one that is read.

    Args:
        content: Of a checkpoint.

    Returns:
        The number of tensors of each, by its key.
    """
    if not isinstance(content, Mapping):
        return {}
    sizes = {key: len(inner) for key in WRAPPERS if (inner := _unwrap(content.get(key)))}
    return dict(list(sizes.items())[1:])


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file, from its header alone.

    Args:
        path: the file.

    Raises:
        ValueError: it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    require_plain(path)
    if not path.is_file():
        raise ValueError(f"weights {str(path)!r}: there is no such file")
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, "safetensors", str(error)) from error


def saved_config(path: str | Path) -> dict[str, Any] | None:
    """The configuration of the model that a file of `save_weights` is of.

    Args:
        path: a file; also one that is none of ours, or does not exist.

    Returns:
        The configuration; None where the file has none.
    """
    from safetensors import SafetensorError, safe_open

    if Path(path).suffix != _SAFE or not Path(path).is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            config = parse_json((file.metadata() or {}).get("specvid", "null"))
    except (SafetensorError, OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, "safetensors", str(error)) from error


def _damaged(path: Path, kind: str, reason: str) -> ValueError:
    """The error for a file that cannot be read."""
    return ValueError(
        f"weights {str(path)!r}: not a sound {kind} file ({reason}). It was cut off or damaged, or is something else: "
        "put a sound copy of it there, or give another file."
    )


def _read_torch(path: Path) -> Any:
    try:
        state = load_plain(path)
        check_tensors(_unwrap(state).values(), path)
        return state
    except UnpicklingError as error:
        command = shlex.join(["python", "-m", "specvid.tools.weights.convert", str(path), str(path.with_suffix(_SAFE))])
        takes = f"`{command}` takes the tensors out without running any"
        wants_code = re.search(r"GLOBAL (\S+)", str(error))
        if wants_code is None:
            pickled = "; if it is a pickle of something else, " + takes if _is_pickle(path) else ""
            raise ValueError(f"weights {str(path)!r}: not a torch file of tensors and plain values{pickled}") from error
        raise ValueError(
            f"weights {str(path)!r}: refused, because it holds more than tensors and plain values ({wants_code[1]}), "
            f"and reading that would run code from the file. {takes}"
        ) from error
    except Exception as error:  # of many kinds, whatever the damage hits
        said = "" if isinstance(error, LookupError) else str(error)  # those speak of the reader's own lists
        raise _damaged(path, "torch", (said or type(error).__name__).splitlines()[0]) from error


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle of protocol 2 or later does."""
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


def _unwrap(state: Any) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        return {}
    for wrapper in WRAPPERS:
        inner = _unwrap(state.get(wrapper))
        if inner:
            return inner
    return {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
