"""``torch.compile`` and ``torch.export`` without graph breaks, and ONNX equal in onnxruntime, for every block."""

import copy
from pathlib import Path

import pytest
import torch

from specvid.models.blocks import create_block, list_blocks

OPTIONS = {"spectral": {"function": torch.exp}}
NAMES = list_blocks()


@pytest.fixture(autouse=True)
def _forget_other_blocks() -> None:
    """All blocks share one ``forward``, recompiled for each; without this they would reach the limit."""
    torch.compiler.reset()


def _make(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    published = {"gate": 1.0} if name in list_blocks("nonlocal") else {"identity": False}
    return create_block(name, 16, **published, **OPTIONS.get(name, {})).eval(), torch.randn(2, 16, 2, 4, 6)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_to_one_graph(name: str) -> None:
    """``fullgraph`` fails on a graph break; the eager backend keeps code generation out of a test of capture."""
    block, x = _make(name)
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), block(x), rtol=1e-4, atol=1e-5)
    x = x.requires_grad_()
    torch.testing.assert_close(compiled(x), block(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_compiles_with_a_mask(name: str, training: bool) -> None:
    block, x = _make(name)
    block.train(training)
    mask = torch.tensor([[True, False], [True, True]])
    compiled = torch.compile(copy.deepcopy(block), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, mask), block(x, mask), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_code_equals_eager_with_gradients(name: str) -> None:
    block, x = _make(name)
    compiled = torch.compile(block, fullgraph=True)
    ours, wanted = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, z = compiled(ours), block(wanted)
    y.square().sum().backward()
    z.square().sum().backward()
    torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.grad, wanted.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_exports(name: str) -> None:
    block, x = _make(name)
    exported = torch.export.export(block, (x,))
    torch.testing.assert_close(exported.module()(x), block(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_in_onnxruntime(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    block, x = _make(name)
    torch.onnx.export(block, (x,), tmp_path / "block.onnx", dynamo=True, input_names=["x"], verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "block.onnx", providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), block(x).detach(), rtol=1e-3, atol=1e-4)
