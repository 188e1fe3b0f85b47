"""Files of Caffe2 as Python 2 wrote them: a pickle of arrays, all of whose text and bytes are strings of bytes."""

import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

_ENDS = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}


def _save_string(pickler: Any, text: str | bytes) -> None:
    raw = text.encode("latin1") if isinstance(text, str) else text
    pickler.write(b"T" + struct.pack("<i", len(raw)) + raw)  # BINSTRING
    pickler.memoize(text)


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]  # Python's own, whose parts can be replaced
    dispatch: ClassVar = {**pickle._Pickler.dispatch, str: _save_string, bytes: _save_string}  # type: ignore[attr-defined]


def write_blobs(path: Path, tensors: dict[str, Tensor], **more: Any) -> Path:
    """Write ``path`` as video-nonlocal-net's ``save_model_params`` did: blobs, momenta, learning rate, iteration."""
    arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    blobs = {"model_iter": 400001, "lr": np.float32(1e-4), **arrays}
    blobs |= {f"{name}_momentum": np.zeros(2, np.float32) for name in arrays if name.endswith("_w")}
    with path.open("wb") as file:
        _Python2Pickler(file, protocol=2).dump({"blobs": blobs, **more})
    return path


def caffe2_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an I3D, named as by torchvision, under Caffe2's names."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        end = parts[-1]
        if parts[0] == "fc":
            renamed[f"pred_{end[0]}"] = tensor
        elif not parts[0].startswith("layer"):
            renamed["conv1_w" if parts[0] == "conv1" else f"res_conv1_bn_{_ENDS[end]}"] = tensor
        else:
            norm = parts[2].startswith("bn") or parts[3] == "1"
            branch = "1" if parts[2] == "downsample" else f"2{'abc'[int(parts[2][-1]) - 1]}"
            start = f"res{int(parts[0][-1]) + 1}_{parts[1]}_branch{branch}"
            renamed[f"{start}_bn_{_ENDS[end]}" if norm else f"{start}_w"] = tensor
    return renamed
