"""The Triton kernels against the plain form in float64: on a CPU through Triton's interpreter, and on a GPU."""

import copy
import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from specvid.models.blocks import create_block, fused, gated, packing
from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.kernels import kernels_run_on
from specvid.models.blocks.norms import BatchNorm

MODULES = ("specvid.models.blocks.kernels.degrees", "specvid.models.blocks.kernels.gated_norm")
DIFFERENCE = {torch.float32: 1e-5, torch.bfloat16: 0.1, torch.float16: 0.04}

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # Triton reads it when it is imported
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks take the kernels on the CPU, where Triton's interpreter runs them."""
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)  # so that a test sees which are imported
    for module in (fused, gated):
        monkeypatch.setattr(module, "kernels_run_on", lambda *tensors: all(it.dtype != torch.float64 for it in tensors))
    monkeypatch.setattr(packing, "_channels_last", _channels_last)


def _channels_last(x_bcn: Tensor) -> bool:
    """That of ``packing`` without its condition that x is on a GPU."""
    return x_bcn.stride(1) == 1 < x_bcn.shape[1] and x_bcn.stride(0) == x_bcn.stride(2) * x_bcn.shape[2]


def relative(a: Tensor, b: Tensor) -> float:
    return ((a.detach().double() - b.detach()).norm() / b.detach().norm()).item()


def check(block: NonlocalBlock, x: Tensor, mask: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
    """Compare result, gradients and running statistics with those of the plain form in float64."""
    reference, training = copy.deepcopy(block).double(), block.training
    ours, plain = x.clone().requires_grad_(training), x.double().contiguous().requires_grad_(training)
    gradient = torch.randn_like(x)
    with torch.set_grad_enabled(training):
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            y = block(ours, mask)
        expected = reference(plain, mask)
    pairs = {"result": (y, expected)}
    if training:
        y.backward(gradient)
        expected.backward(gradient.double())
        pairs["x"] = ours.grad, plain.grad
        pairs |= {name: (own.grad, reference.get_parameter(name).grad) for name, own in block.named_parameters()}
        pairs |= {name: (own, reference.get_buffer(name)) for name, own in block.named_buffers() if "running" in name}
    assert {name: relative(*pair) for name, pair in pairs.items() if not relative(*pair) < DIFFERENCE[dtype]} == {}
    assert y.dtype == x.dtype and _channels_last(y.flatten(2)) == _channels_last(x.flatten(2))


def features(*shape: int, last: bool = False, device: str = "cpu") -> Tensor:
    torch.manual_seed(0)
    x = torch.randn(*shape, device=device)
    return x.to(memory_format=torch.channels_last_3d) if last else x


def snl(channels: int, training: bool, **options) -> NonlocalBlock:
    torch.manual_seed(0)
    block = create_block("snl", channels, gate=0.7, **options).train(training)
    for unit in block.units:
        torch.nn.init.uniform_(unit.norm.running_mean)
        torch.nn.init.normal_(unit.norm.bias)
    return block


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the process")
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_the_interpreter_runs_in_a_process_of_its_own(which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", __file__, "-k", "TestInterpreted", "-m", which]
    run = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and " skipped" not in run.stdout


@needs_triton
@pytest.mark.skipif(not INTERPRETED, reason="runs in a process of its own, which the test above starts")
@pytest.mark.usefixtures("interpreted")
class TestInterpreted:
    @pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
    @pytest.mark.parametrize("masked", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["all", "masked"])
    @pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
    def test_a_block_equals_the_plain_form(self, training: bool, masked: bool, last: bool) -> None:
        mask = torch.tensor([[True, True, False], [True, False, True]]) if masked else None
        check(snl(12, training), features(2, 12, 3, 4, 4, last=last), mask)
        assert all(name in sys.modules for name in MODULES[: 1 + (not masked)])  # masks go without the second

    @pytest.mark.slow
    @pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
    def test_more_positions_than_one_program_sums_up(self, last: bool) -> None:
        check(snl(16, True), features(1, 16, 3, 19, 19, last=True) if last else features(1, 16, 3, 27, 27))

    @pytest.mark.slow
    @pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
    def test_few_positions_take_the_plain_products(self, last: bool) -> None:
        check(snl(24, True), features(3, 24, 2, 2, 2, last=last))
        assert MODULES[0] not in sys.modules and MODULES[1] in sys.modules

    @pytest.mark.slow
    @pytest.mark.parametrize("impl", ["linear", "dense"])
    def test_the_form_that_is_asked_for(self, impl: str) -> None:
        check(snl(24, True, impl=impl), features(2, 24, 2, 2, 3))
        assert (MODULES[0] in sys.modules) == (impl == "linear")

    @pytest.mark.slow
    @pytest.mark.parametrize("options", [{"gating": "channel"}, {"gating": "norm"}, {"relu": False}])
    def test_gates_and_norm(self, options: dict) -> None:
        for training in (False, True):
            check(snl(8, training, **options), features(2, 8, 2, 3, 5))

    @pytest.mark.slow
    def test_positions_without_neighbours(self) -> None:
        block = snl(16, True)
        block.affinity.theta.weight.data[:2] = 0
        block.affinity.phi.weight.data[1:4] = 0  # active theta without a partner
        x = features(2, 16, 2, 4, 5)
        x[0] = 0  # a sample without any
        check(block, x)

    @pytest.mark.slow
    def test_autocast_keeps_the_type_of_the_features(self) -> None:
        for training in (False, True):
            check(snl(24, training), features(2, 24, 2, 3, 5), dtype=torch.bfloat16)

    @pytest.mark.parametrize("momentum", [0.3, None])
    def test_running_statistics_move_as_those_of_batch_norm(self, momentum: float | None) -> None:
        torch.manual_seed(0)
        norm = BatchNorm(6)
        norm.momentum = momentum
        other = copy.deepcopy(norm).double()
        for _ in range(3):
            x, y = torch.randn(2, 3, 6, 40) + 100  # far from 0: a difference of squares would cancel
            gated.gated_norm(x, y, norm, torch.ones(1), relu=True)
            other(y.double())
        for name, value in other.named_buffers():
            torch.testing.assert_close(norm.get_buffer(name), value.to(norm.get_buffer(name).dtype), rtol=1e-5, atol=0)


def test_kernels_are_for_cuda_only() -> None:
    assert not kernels_run_on(torch.zeros(1, 2, 3))


@pytest.mark.gpu
@needs_triton
@pytest.mark.parametrize("dtype", DIFFERENCE, ids=str)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    "shape", [(2, 256, 8, 14, 14), (3, 48, 5, 7, 7), (1, 64, 9, 41, 41), (4, 64, 1, 3, 3)], ids=str
)
def test_a_block_on_the_gpu(dtype: torch.dtype, training: bool, last: bool, shape: tuple[int, ...]) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    for masked in (False, True):
        x = features(*shape, last=last, device="cuda")
        mask = None
        if masked:
            mask = torch.rand(shape[0], shape[2], device="cuda") > 0.4
            mask[:, 0] = True
        check(snl(shape[1], training).cuda(), x, mask, dtype)


@pytest.mark.gpu
@needs_triton
def test_the_same_input_gives_the_same_bits_on_the_gpu() -> None:
    block, x = snl(64, False).cuda(), features(2, 64, 9, 41, 41, device="cuda")
    with torch.inference_mode():
        assert torch.equal(block(x), block(x))


@pytest.mark.gpu
@needs_triton
def test_compiled_blocks_take_the_plain_form_on_the_gpu() -> None:
    block, x = snl(64, False).cuda(), features(2, 64, 4, 14, 14, device="cuda")
    with torch.no_grad():
        assert relative(torch.compile(block, fullgraph=True)(x), block.double()(x.double())) < 1e-5
