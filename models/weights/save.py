"""Weights as one safetensors file, written in one rename: `save_weights` of a model, `save_tensors` of any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor, nn

from specvid.files import replacing_file


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the ``state_dict`` of a model, with its ``config``, if any, as JSON in the header.

    Args:
        model: whose weights to write.
        path: the file (safetensors); it appears under its name when it is complete, replacing an older one.
    """
    metadata = {"format": "pt"}
    if isinstance(config := getattr(model, "config", None), dict):
        metadata["specvid"] = json.dumps(config)
    save_tensors(model.state_dict(), path, metadata)


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] = MappingProxyType({"format": "pt"})
) -> None:
    """Write tensors. Equal tensors with equal metadata give equal bytes, in any process.

    Args:
        tensors: by name.
        path: the file (safetensors); it appears under its name when it is complete, replacing an older one.
        metadata: for the header.
    """
    from safetensors.torch import save_file

    # cloned: safetensors takes neither shared nor strided memory
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing_file(path) as unfinished:
        unfinished.touch()
        mode = unfinished.stat().st_mode  # as any new file here; safetensors writes for the owner alone
        save_file(state, unfinished, metadata=dict(metadata))
        unfinished.chmod(mode)
        _sort_metadata(unfinished)


def _sort_metadata(path: Path) -> None:
    """Sort the metadata in the header: safetensors writes them in another order in each process."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        content = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(content) <= length, "the same content takes the same room"
        file.seek(8)
        file.write(content.ljust(length))
