"""The formats: how a captured graph and its metadata are written into a file, and how the file is run."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch.export import ExportedProgram

from specvid.extras import require
from specvid.pipelines.export.axes import Axes
from specvid.pipelines.export.capture import Inputs
from specvid.pipelines.export.check import Runner

METADATA = "specvid"
"""Key of the metadata: in an ONNX file's ``metadata_props``, and (with ``.json``) in a ``.pt2``'s extra files."""


def write_onnx(
    program: ExportedProgram, path: Path, *, inputs: Inputs, axes: Axes, output: str, metadata: Mapping[str, object]
) -> Runner:
    """Write an ONNX file with its weights inside.

    Args:
        program: the graph.
        path: of the file.
        inputs: what it was captured with.
        axes: which of its axes may vary.
        output: name of the output.
        metadata: goes into the file as JSON.

    Returns:
        What runs the file, in onnxruntime on the CPU.

    Raises:
        ValueError: an operation of the model has no form in ONNX.
    """
    onnxruntime = require_onnx()
    names = (axes.input, "mask")[: len(inputs)]
    clip = {axes.places[name]: name for name in axes.dynamic}
    mask = {index: name for name, index in (("batch", 0), ("time", 1)) if name in axes.dynamic}
    with _silence():
        try:
            written = torch.onnx.export(
                program,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=[output],
                dynamic_shapes=dict(zip(names, (clip, mask), strict=False)),
            )
        except torch.onnx.errors.OnnxExporterError as error:
            lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
            raise ValueError(f"this model has no form in ONNX: {lines[0]} (--to torch-export may do)") from error
    assert written is not None
    written.model.metadata_props[METADATA] = json.dumps(metadata)
    written.save(path, external_data=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it is asked for sizes that it may refuse, and refuses by raising too
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> torch.Tensor:
        (y,) = session.run(None, {name: value.cpu().numpy() for name, value in zip(names, inputs, strict=True)})
        return torch.from_numpy(y).to(inputs[0].device)

    return run


def write_torch_export(
    program: ExportedProgram, path: Path, *, inputs: Inputs, axes: Axes, output: str, metadata: Mapping[str, object]
) -> Runner:
    """Write a program that ``torch.export.load`` reads.

    Args:
        program: as of `write_onnx`.
        path: likewise.
        inputs: likewise.
        axes: likewise.
        output: likewise.
        metadata: likewise.

    Returns:
        What runs the file, read back.
    """
    with _silence():
        torch.export.save(program, path, extra_files={f"{METADATA}.json": json.dumps(metadata)})
    module = torch.export.load(path).module()
    return lambda inputs: module(*inputs)


WRITERS = {"onnx": write_onnx, "torch-export": write_torch_export}


def require_onnx() -> ModuleType:
    """Import onnxruntime.

    Returns:
        The package.

    Raises:
        ValueError: it, onnx or onnxscript is not installed; with the command that installs them.
    """
    for name in ("onnx", "onnxscript"):
        require(name, extra="export", what="format 'onnx'")
    return require("onnxruntime", extra="export", what="format 'onnx'")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence the exporters' warnings on their own deprecations and versions of operators; errors are raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
