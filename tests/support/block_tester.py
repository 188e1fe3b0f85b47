"""One tester for every block: what any block must do, whatever it computes. Each kind of block inherits it."""

import copy
import io
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from specvid.models.blocks import block_options, create_block

CHANNELS = 16
SIZES = {1: (6,), 2: (4, 6), 3: (2, 4, 6)}
DIMS_AND_MODES = [(1, "st"), (1, "t"), (2, "st"), (2, "s"), (3, "st"), (3, "s"), (3, "t")]


def features(dims: int = 3, batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, *SIZES[dims], generator=torch.Generator().manual_seed(seed))


def check_autocast(block: nn.Module, dtype: torch.dtype, *, masked: bool) -> None:
    """A block under autocast changes features as it does in float32, but for the rounding."""
    x = features()
    mask = torch.tensor([[True, False], [True, True]]) if masked else None
    wanted = block(x, mask)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x, mask)
    assert torch.isfinite(y).all()
    assert (y.float() - wanted).norm() / (wanted - x).norm() < (0.05 if dtype == torch.bfloat16 else 0.01)


def check_half_precision(block: nn.Module) -> None:
    """A block in bfloat16 changes features as it does in float32, but for the rounding."""
    x = features()
    wanted = block(x)
    y = block.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert (y.float() - wanted).norm() / (wanted - x).norm() < 0.05


class BlockTester:
    """Tests of a block ``name``; a subclass is parametrised with the names.

    ``published``: options of the form that changes features at once; ``options``: what single blocks need;
    ``nondeterministic``: blocks whose backward pass adds in varying order; ``kernels``: blocks whose weights belong to
    a number of dimensions.
    """

    published: ClassVar[dict[str, Any]]
    options: ClassVar[dict[str, dict[str, Any]]] = {}
    nondeterministic: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()

    def make(self, name: str, *, dims: int = 3, seed: int = 0, channels: int = CHANNELS, **options: Any) -> nn.Module:
        """A fresh block."""
        torch.manual_seed(seed)
        return create_block(name, channels, dims=dims, **(self.options.get(name, {}) | options))

    def active(self, name: str, **options: Any) -> nn.Module:
        """A block that changes features: of the published form, with random numbers for weights that start at 0."""
        block = self.make(name, **(self.published | options))
        for parameter in block.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.3)
        return block

    def on_graphs(self, name: str) -> dict[str, Any]:
        """Options with which the block looks at nothing but its graph."""
        return {}

    @pytest.mark.parametrize(("dims", "mode"), DIMS_AND_MODES)
    def test_is_the_identity_at_the_start(self, name: str, dims: int, mode: str) -> None:
        block, x = self.make(name, dims=dims, mode=mode), features(dims)
        assert torch.equal(block(x), x)
        assert torch.equal(block.eval()(x), x)

    def test_learns_from_the_identity(self, name: str) -> None:
        """Once the first steps are made every parameter that can change the output has a gradient."""
        block, x, target = self.make(name), features(), features(seed=2)
        optimizer = torch.optim.SGD(block.parameters(), lr=0.05)
        losses = []
        for _ in range(8):
            loss = (block(x) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        # A bias on the keys shifts all scores of a softmax alike.
        named = ((key, parameter) for key, parameter in block.named_parameters() if not key.endswith("phi.bias"))
        assert [key for key, p in named if p.grad is None or not p.grad.any()] == []

    @pytest.mark.parametrize("mode", ["s", "t"])
    def test_modes_are_the_block_on_each_graph(self, name: str, mode: str) -> None:
        """``s`` equals the 2D block on every frame, ``t`` the 1D block at every place."""
        alone = self.on_graphs(name)
        block, x = self.active(name, mode=mode, **alone).eval(), features()
        one = self.active(name, dims=2 if mode == "s" else 1, **alone).eval()
        one.load_state_dict(block.state_dict())
        if mode == "s":
            wanted = torch.stack([one(x[:, :, t]) for t in range(2)], dim=2)
        else:
            columns = [[one(x[:, :, :, h, w]) for w in range(6)] for h in range(4)]
            wanted = torch.stack([torch.stack(row, dim=-1) for row in columns], dim=-2)
        torch.testing.assert_close(block(x), wanted, rtol=1e-4, atol=1e-5)

    def test_a_frame_is_an_image(self, name: str) -> None:
        """In 3D on one frame a block computes what it does in 2D."""
        video, image = self.active(name).eval(), self.active(name, dims=2).eval()
        if name in self.kernels:
            for key, value in video.state_dict().items():
                if key == "tables.frames":
                    continue
                if key == "offsets.frames":  # which move samples out of the frame
                    value.zero_()
                    continue
                if value.dim() == 5:
                    image.get_parameter(key).data.copy_(value[:, :, value.shape[2] // 2])
                else:
                    image.state_dict()[key].copy_(value)
        else:
            image.load_state_dict(video.state_dict())
        x = features(2)
        torch.testing.assert_close(video(x.unsqueeze(2)).squeeze(2), image(x), rtol=1e-5, atol=1e-5)
        assert (image(x) - x).abs().max() > 1e-3

    def test_mask_equals_running_on_the_subset(self, name: str) -> None:
        block, x = self.active(name).double(), features().double()
        block.train()(x)  # running statistics other than 0 and 1
        block.eval()
        mask = torch.tensor([[True, False], [True, True]])
        noisy = features(3).double()
        noisy[0, :, 1] = 1e3
        y = block(noisy, mask)
        torch.testing.assert_close(y[:1, :, :1], block(noisy[:1, :, :1]), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(y[1:], block(noisy[1:]), rtol=1e-10, atol=1e-10)
        assert torch.equal(y[0, :, 1], noisy[0, :, 1])
        full = mask[:, :, None, None].expand(2, *SIZES[3])
        torch.testing.assert_close(block(noisy, full), y)

    @pytest.mark.parametrize("mode", ["st", "s", "t"])
    def test_what_lies_outside_any_mask_is_not_seen(self, name: str, mode: str) -> None:
        """Masks of single positions, in every mode: their content changes nothing, and they pass unchanged."""
        alone = self.on_graphs(name) if mode == "t" else {}
        block, x = self.active(name, mode=mode, **alone).double().eval(), features().double()
        mask = torch.rand(2, *SIZES[3], generator=torch.Generator().manual_seed(3)) > 0.4
        noisy = torch.where(mask.unsqueeze(1), x, 1e3)
        y, z = block(x, mask), block(noisy, mask)
        inside = mask.unsqueeze(1).expand_as(x)
        torch.testing.assert_close(y[inside], z[inside], rtol=1e-10, atol=1e-10)
        assert torch.equal(z[~inside], noisy[~inside])
        assert (y - x)[inside].abs().max() > 1e-4
        if mode == "st" and name != "cc" and name not in self.kernels:  # the valid positions alone, in one dimension
            line = self.active(name, dims=1, **alone).double().eval()
            line.load_state_dict(block.state_dict())
            for sample in range(2):
                valid = mask[sample]
                wanted = line(x[sample][:, valid][None])[0]
                torch.testing.assert_close(y[sample][:, valid], wanted, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_autocast_is_close(self, name: str, dtype: torch.dtype, masked: bool) -> None:
        check_autocast(self.active(name).eval(), dtype, masked=masked)

    def test_runs_as_a_module_of_half_precision(self, name: str) -> None:
        check_half_precision(self.active(name).eval())

    def test_empty_batches_pass(self, name: str) -> None:
        x = torch.randn(0, CHANNELS, *SIZES[3])
        assert self.active(name).eval()(x).shape == x.shape

    def test_gradients_are_right_in_float64(self, name: str) -> None:
        block = self.active(name, dims=2, channels=4, reduction=2) if "reduction" in block_options(name) else None
        block = (block or self.active(name, dims=2, channels=4)).double().eval()
        x = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
        names, parameters = zip(*block.named_parameters(), strict=True)

        def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x,))

        varying = {"nondet_tol": 1e-10} if name in self.nondeterministic else {}
        assert torch.autograd.gradcheck(run, (x, *parameters), **varying)

    def test_state_dict_round_trip_copy_and_pickle(self, name: str) -> None:
        block, x = self.active(name).eval(), features()
        other = self.active(name, seed=7).eval()
        other.load_state_dict(block.state_dict())
        buffer = io.BytesIO()
        torch.save(block, buffer)
        buffer.seek(0)
        for twin in (other, copy.deepcopy(block), torch.load(buffer, weights_only=False)):
            assert torch.equal(twin(x), block(x))
            assert twin.config == block.config or twin is other

    def test_weights_serve_any_number_of_dimensions(self, name: str) -> None:
        if name in self.kernels:
            pytest.skip(f"{name} has kernels of positions")
        block = self.make(name, dims=2)
        for dims in (1, 3):
            self.make(name, dims=dims).load_state_dict(block.state_dict())

    def test_is_deterministic_in_eval_mode(self, name: str) -> None:
        block, x = self.active(name).eval(), features()
        assert torch.equal(block(x), block(x))

    def test_wrong_input_is_refused(self, name: str) -> None:
        block = self.make(name)
        for wrong in (features(2), torch.randn(2, CHANNELS + 1, *SIZES[3])):
            with pytest.raises(ValueError, match=r"was made for dims=3 and 16 channels"):
                block(wrong)
        with pytest.raises(ValueError, match=r"mask has shape \(2, 5\)"):
            block(features(), torch.ones(2, 5, dtype=torch.bool))

    def test_no_two_options_collide(self, name: str) -> None:
        """Every option can be given, alone, with its own default."""
        for option, value in block_options(name).items():
            if value is not None:
                self.make(name, **{option: value})
