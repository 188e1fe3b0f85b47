"""`save_weights`: the weights of a model as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import nn


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the ``state_dict`` of ``model`` to ``path`` (safetensors), with its ``config``, if any, as JSON in the
    header.

    Atomic: the file appears under its name when it is complete, replacing an older one.
    """
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # cloned: safetensors takes neither shared nor strided memory
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    metadata = {"format": "pt"}
    if isinstance(config := getattr(model, "config", None), dict):
        metadata["specvid"] = json.dumps(config)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(state, unfinished, metadata=metadata)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
