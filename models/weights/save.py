"""Weights as one safetensors file, written whole or not at all: `save_weights` of a model, `save_tensors` of any."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor, nn


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the ``state_dict`` of ``model`` to ``path`` (safetensors), with its ``config``, if any, as JSON in the
    header.

    Atomic: the file appears under its name when it is complete, replacing an older one.
    """
    metadata = {"format": "pt"}
    if isinstance(config := getattr(model, "config", None), dict):
        metadata["specvid"] = json.dumps(config)
    save_tensors(model.state_dict(), path, metadata)


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] = MappingProxyType({"format": "pt"})
) -> None:
    """Write ``tensors`` to ``path``, as atomically; ``metadata`` goes into the header."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # cloned: safetensors takes neither shared nor strided memory
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.touch()
        mode = unfinished.stat().st_mode  # as any new file here; safetensors writes for the owner alone
        save_file(state, unfinished, metadata=dict(metadata))
        unfinished.chmod(mode)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
