"""The inherited tester over every block, and what blocks of the nonlocal family must do besides."""

import copy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from block_tester import BlockTester, check_autocast, check_half_precision, features

from specvid.models.blocks import list_blocks

SYMMETRIC = ("snl", "cheb", "arma", "cayley", "heat", "spectral")


@pytest.mark.parametrize("name", list_blocks("channel"))
class TestChannelBlock(BlockTester):
    published: ClassVar = {"identity": False}
    options: ClassVar = {name: {"reduction": 4} for name in ("se", "gc", "cbam", "ge")}
    kernels = ("cbam",)

    def test_is_named_in_the_documentation(self, name: str) -> None:
        page = Path(__file__).parents[3] / "docs" / "blocks.md"
        assert f"### `{name}`" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list_blocks("long-range"))
class TestLongRangeBlock(BlockTester):
    published: ClassVar = {"identity": False}
    options: ClassVar = {name: {"heads": 2} for name in ("bot", "dgmn2", "halo")} | {
        "gnconv": {"kernel": 3},
        "hamburger": {"rank": 4},
    }
    kernels = ("bot", "dgmn2", "gnconv", "halo", "pdc")  # the tables of two are of a number of axes

    def test_is_named_in_the_documentation(self, name: str) -> None:
        page = Path(__file__).parents[3] / "docs" / "blocks.md"
        assert f"### `{name}`" in page.read_text(encoding="utf-8")

    def test_gradients_are_right_in_float64(self, name: str) -> None:
        if name == "hamburger":
            pytest.skip("its gradient is that of the last step alone: test_long_range.py")
        if name == "gnconv":
            self.options = self.options | {"gnconv": {"kernel": 3, "order": 2}}  # four channels
        super().test_gradients_are_right_in_float64(name)


@pytest.mark.parametrize("name", list_blocks("nonlocal"))
class TestNonlocalBlock(BlockTester):
    published: ClassVar = {"gate": 1.0}
    options: ClassVar = {"spectral": {"function": torch.exp}}
    # the attention kernel's backward pass adds in varying order
    nondeterministic = ("dnl", "nl", "ns", "snl_2019", "gsnl", "cayley")

    def on_graphs(self, name: str) -> dict[str, Any]:
        return {"norm": "none"} if name == "cgnl" else {}  # a group norm looks at the whole clip in every mode

    def test_factorised_blocks_start_as_the_identity(self, name: str) -> None:
        block, x = self.make(name, mode="t+s"), features()
        assert torch.equal(block(x), x)
        assert torch.equal(block.eval()(x), x)

    def test_units_with_a_mask_equal_running_on_the_subset(self, name: str) -> None:
        block, x = self.make(name, gate=1.0, units=2).double().eval(), features().double()
        mask = torch.tensor([[True, False], [True, True]])
        torch.testing.assert_close(block(x, mask)[:1, :, :1], block(x[:1, :, :1]), rtol=1e-10, atol=1e-10)

    def test_factorised_is_time_and_then_space(self, name: str) -> None:
        block, x = self.make(name, mode="t+s", gate=1.0).double().eval(), features().double()
        temporal, spatial = (self.make(name, mode=mode).double().eval() for mode in ("t", "s"))
        temporal.load_state_dict(block.temporal.state_dict())
        spatial.load_state_dict(block.spatial.state_dict())
        mask = torch.tensor([[True, False], [True, True]])
        for valid in (None, mask):
            middle = temporal(x, valid)
            assert not torch.equal(middle, x)
            assert torch.equal(block(x, valid), spatial(middle, valid))
        eigenvalues, gain = block.response()
        assert gain.shape == (2, len(eigenvalues))
        over_time, over_space = block.spectrum(x)
        assert (over_time.shape[0], over_space.shape[0]) == (2 * 24, 2 * 2)
        if name == "cgnl":
            with pytest.raises(ValueError, match="does not relate positions with positions"):
                block.affinity_rows(x, torch.tensor([30]))
            return
        rows = block.affinity_rows(x, torch.tensor([30, 5]))  # 30: frame 1, place 6
        along, across = (
            temporal.operator(x).dense(),
            spatial.operator(temporal(x)).dense(),
        )  # (B·24, 2, 2), (B·2, 24, 24)
        for sample in range(2):
            for row, (t, place) in zip(rows[sample].unflatten(-1, (2, 24)), ((1, 6), (0, 5)), strict=True):
                for u in range(2):
                    wanted = across[2 * sample + t, place] * along[24 * sample : 24 * (sample + 1), t, u]
                    torch.testing.assert_close(row[u], wanted, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("units", [1, 3])
    def test_units_share_one_affinity(self, name: str, units: int) -> None:
        block = self.make(name, units=units)
        assert len(block.units) == units
        assert sum("affinity" in key for key, _ in block.named_parameters()) == sum(
            "affinity" in key for key, _ in self.make(name).named_parameters()
        )

    def test_mask_keeps_padding_out_of_the_statistics_of_training(self, name: str) -> None:
        if name in ("cc", "cgnl"):
            pytest.skip(f"{name} has no batch norm")
        block, alone, x = self.make(name, gate=1.0).double(), self.make(name, gate=1.0).double(), features().double()
        noisy = x.clone()
        noisy[:, :, 1] = 1e3
        y = block(noisy, torch.tensor([[True, False]]).expand(2, 2))
        torch.testing.assert_close(y[:, :, :1], alone(x[:, :, :1]), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(block.units[0].norm.running_mean, alone.units[0].norm.running_mean)

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_group_norm_in_half_precision(self, name: str, dtype: torch.dtype, masked: bool) -> None:
        check_autocast(self.make(name, gate=1.0, norm="group").eval(), dtype, masked=masked)

    def test_group_norm_as_a_module_of_half_precision(self, name: str) -> None:
        check_half_precision(self.make(name, gate=1.0, norm="group").eval())

    def test_batch_norm_can_be_synchronised(self, name: str) -> None:
        """``convert_sync_batchnorm`` puts a norm without masks in place of ours."""
        block, x = self.make(name, gate=1.0, norm="batch").eval(), features()
        synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(block))
        mask = torch.tensor([[True, False], [True, True]])
        assert torch.equal(synchronised(x), block(x))
        assert torch.equal(synchronised(x, mask), block(x, mask))
        with pytest.raises(ValueError, match="SyncBatchNorm counts positions outside the mask"):
            synchronised.train()(x, mask)

    def test_spectrum_is_that_of_the_dense_affinity(self, name: str) -> None:
        block, x = self.make(name).double().eval(), features().double()
        spectrum, matrices = block.spectrum(x), block.operator(x).dense()
        if name in SYMMETRIC:
            assert not spectrum.is_complex()
            torch.testing.assert_close(spectrum[:, 0], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
        for ours, matrix in zip(spectrum.flatten(0, -2), matrices.flatten(0, -3), strict=True):
            wanted, size = torch.linalg.eigvals(matrix), max(1.0, matrix.abs().sum(-1).max().item())
            ours = torch.cat((ours.to(wanted), wanted.new_zeros(len(wanted) - len(ours))))
            far = [(ours - value).abs().min().item() for value in wanted] + [
                (wanted - o).abs().min().item() for o in ours
            ]
            assert max(far) < 1e-6 * size  # eigenvalues that coincide are found to half the digits
            power = (matrix @ matrix).trace()  # which counts them
            torch.testing.assert_close(ours.square().sum().real, power, rtol=1e-10, atol=1e-10)

    def test_response_is_what_the_unit_does_to_an_eigenvector(self, name: str) -> None:
        """For z = e v with A v = a v the terms are f_k(a) z, so that all e together have the gain's Frobenius norm."""
        block, x = self.make(name).double().eval(), features(batch=1).double()
        unit, operator = block.units[0], block.operator(x)
        if name == "cgnl":  # its signals live on channels and positions at once; the filter is A alone
            torch.testing.assert_close(unit.filter.response(torch.tensor([0.3])), torch.tensor([[0.3]]))
            return
        values, vectors = torch.linalg.eig(operator.dense()[0])
        real = (values.imag.abs() < 1e-12).nonzero().flatten()[:3]
        assert len(real)
        for index in real:
            value, vector = values[index].real, vectors[:, index].real
            signal = vector.expand(1, unit.g.out_channels, -1)
            response = unit.filter.response(value[None])[:, 0]
            for term, factor in zip(unit.filter(operator, signal), response, strict=True):
                torch.testing.assert_close(term, factor * signal, rtol=1e-9, atol=1e-9)
        eigenvalues = torch.tensor([1.0, 0.25], dtype=torch.float64)
        gain = block.response(eigenvalues)[1]
        assert gain.shape == (1, 2)
        factors = unit.filter.response(eigenvalues)
        weights = [weight.weight.squeeze(-1) for weight in unit.weights]
        for column in range(2):
            if weights:
                total = sum(factor[column] * weight for factor, weight in zip(factors, weights, strict=True))
                torch.testing.assert_close(gain[0, column], total.norm())
            else:
                torch.testing.assert_close(gain[0, column], factors[0, column].abs())

    def test_rows_are_those_of_the_dense_affinity(self, name: str) -> None:
        block, x = self.make(name).double().eval(), features().double()
        positions = torch.tensor([3, 40, 3])
        rows, matrix = block.affinity_rows(x, positions), block.operator(x).dense()
        torch.testing.assert_close(rows, matrix.index_select(-2, positions), rtol=1e-12, atol=1e-12)
