"""Saves the tensors of a checkpoint that is not safe to load as safetensors.

    python -m specvid.tools.weights.convert IN OUT.safetensors [--key state_dict_ema]

IN is a file of ``torch.save`` or of ``pickle``, also of Python 2, that holds more than tensors and plain values: a
training script's arguments, numpy numbers, Caffe2's blobs, a whole pickled network. It is read without running any
code that it names; what is left out is printed.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specvid.errors import unknown as unknown_name
from specvid.models.weights.read import WRAPPERS
from specvid.models.weights.save import save_tensors
from specvid.tools.weights.command_line import check_paths, command_line
from specvid.tools.weights.safe_pickle import UNSOUND, Inert, as_module, inert_unpickler
from specvid.torchfile import check_nesting, check_records, check_tensors, limited

_TAR, _TAR_AT = b"ustar", 257


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Attributes:
        tensors: what was written.
        left_out: name -> what it is, of all else at the top of the file.
        unknown: the classes and functions that the file names, which were not looked up.
    """

    tensors: Mapping[str, Tensor]
    left_out: Mapping[str, str]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        size = sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values()) / 1e6
        lines = [f"{len(self.tensors)} tensors, {size:.1f} MB"]
        lines += [f"  left out: {name}: {what}" for name, what in self.left_out.items()]
        if self.unknown:
            lines.append(f"  named in the file, not run: {', '.join(self.unknown)}")
        return "\n".join(lines)


def convert_weights(source: str | Path, out: str | Path, key: str = "") -> Converted:
    """Save the tensors of a checkpoint as safetensors, running nothing that it names.

    Args:
        source: a file of ``torch.save`` or of ``pickle``.
        out: the .safetensors to write.
        key: under which the tensors are, for a file with several networks, e.g. ``state_dict_ema``; found if empty.

    Raises:
        ValueError: ``source`` is no checkpoint, has no tensors or no such key, or ``out`` exists.
    """
    source, out = check_paths(source, out)
    unknown: set[str] = set()
    content = _read(source, unknown)
    if key:
        if not isinstance(content, Mapping) or key not in content:
            keys = [str(name) for name in content] if isinstance(content, Mapping) else []
            raise ValueError(f"{str(source)!r}: {unknown_name('key', key, keys)}")
        content = content[key]
    tensors, left_out = _split(content)
    if not tensors:
        kind = ", ".join(map(str, content)) if isinstance(content, Mapping) else _kind(content)
        raise ValueError(f"{str(source)!r}: no tensors in it, nor under {', '.join(WRAPPERS)} (found: {kind})")
    try:
        check_tensors(tensors.values(), source)
        save_tensors(tensors, out)
    except ValueError as error:
        raise ValueError(f"{str(source)!r}: {error}") from error
    except (KeyError, NotImplementedError, RuntimeError) as error:  # sparse, complex128: safetensors has no such kinds
        raise ValueError(f"{str(source)!r}: a tensor in it cannot be written as safetensors ({error})") from error
    return Converted(tensors, left_out, tuple(sorted(unknown)))


def _read(source: Path, unknown: set[str]) -> Any:
    with source.open("rb") as file:
        zipped = torch.serialization._is_zipfile(file)  # as torch itself decides
        file.seek(_TAR_AT)
        is_tar = file.read(len(_TAR)) == _TAR
    if is_tar or (zipped and "constants.pkl" in _records(source)):
        raise ValueError(f"{str(source)!r}: a tar file or a TorchScript archive, which holds a program; not read")
    try:
        check_records(source)
        with limited(source):
            content = _unpickled(source, zipped, inert_unpickler(unknown))
        check_nesting(content, lambda value: value.state if isinstance(value, Inert) else value)
        return content
    except UNSOUND as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{str(source)!r}: not a sound checkpoint ({reason})") from error


def _unpickled(source: Path, zipped: bool, unpickler: type[pickle.Unpickler]) -> Any:
    if not zipped:
        with source.open("rb") as file:
            content = unpickler(file, encoding="latin1").load()  # all bytes of Python 2's strings come through
        if not (isinstance(content, int) and content == torch.serialization.MAGIC_NUMBER):
            return content  # torch.save began with that number before it wrote zip files
    return torch.load(source, map_location="cpu", weights_only=False, pickle_module=as_module(unpickler))


def _records(source: Path) -> list[str]:
    """What lies in a zip file, by torch's own reader: others might see other things in a crafted one."""
    try:
        return torch._C.PyTorchFileReader(str(source)).get_all_records()
    except RuntimeError as error:
        raise ValueError(f"{str(source)!r}: not a sound checkpoint ({str(error).splitlines()[0]})") from error


def _split(content: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, under their names in the network, and what else there is."""
    if isinstance(content, Inert):
        return dict(_of_module(content, "")), {}
    if not isinstance(content, Mapping):
        return {}, {}
    for wrapper in WRAPPERS:
        if wrapper in content:
            tensors, left_out = _split(content[wrapper])
            if tensors:
                others = {str(name): _kind(value) for name, value in content.items() if name != wrapper}
                return tensors, {f"{wrapper}.{name}": what for name, what in left_out.items()} | others
    return _flat(content)


def _flat(content: Mapping[Any, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in dictionaries in dictionaries, and all else; a dictionary without any tensor counts as one."""
    tensors: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    for key, value in content.items():
        name = str(key)
        if isinstance(value, Mapping):
            inside, others = _flat(value)
            tensors |= {f"{name}.{child}": tensor for child, tensor in inside.items()}
            left_out |= {f"{name}.{child}": what for child, what in others.items()} if inside else {name: _kind(value)}
        elif isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
            tensors[name] = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
        else:
            left_out[name] = _kind(value)
    return tensors, left_out


def _of_module(module: Inert, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """The parameters and buffers of a network that was pickled as an object."""
    if not isinstance(module.state, Mapping):
        return
    for kind in ("_parameters", "_buffers"):
        for name, value in (module.state.get(kind) or {}).items():
            if isinstance(value, Tensor) and name not in (module.state.get("_non_persistent_buffers_set") or ()):
                yield f"{prefix}{name}", value
    for name, child in (module.state.get("_modules") or {}).items():
        if isinstance(child, Inert):
            yield from _of_module(child, f"{prefix}{name}.")


def _kind(value: Any) -> str:
    if isinstance(value, Inert):
        return value.origin
    if isinstance(value, Mapping):
        return f"a dictionary of {len(value)}"
    if isinstance(value, (str, int, float, bool, type(None), np.generic)):
        return repr(value)[:40]
    return type(value).__name__


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: IN and OUT; the command line of the process if None.

    Returns:
        The exit code.
    """
    return command_line(
        "convert", __doc__, "a checkpoint of torch.save or pickle", convert_weights, words, with_key=True
    )


if __name__ == "__main__":
    sys.exit(main())
