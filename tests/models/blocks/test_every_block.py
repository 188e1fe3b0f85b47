"""One tester for every block: what any block of the family must do."""

import copy
import io
import itertools

import pytest
import torch

from specvid.models.blocks import create_block, list_blocks

CHANNELS = 16
SIZES = {1: (6,), 2: (4, 6), 3: (2, 4, 6)}
OPTIONS = {"spectral": {"function": torch.exp}}
SYMMETRIC = ("snl", "cheb", "arma", "cayley", "heat", "spectral")

pytestmark = pytest.mark.parametrize("name", list_blocks())


def make(name: str, *, dims: int = 3, seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_block(name, CHANNELS, dims=dims, **(OPTIONS.get(name, {}) | options))


def features(dims: int = 3, batch: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, *SIZES[dims], generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("dims", "mode"), [(1, "st"), (1, "t"), (2, "st"), (2, "s"), *((3, m) for m in ("st", "s", "t", "t+s"))]
)
def test_is_the_identity_at_the_start_in_every_dimension_and_mode(name: str, dims: int, mode: str) -> None:
    block, x = make(name, dims=dims, mode=mode), features(dims)
    assert torch.equal(block(x), x)
    assert torch.equal(block.eval()(x), x)


@pytest.mark.parametrize("mode", ["s", "t"])
def test_modes_are_the_block_on_each_graph(name: str, mode: str) -> None:
    """``s`` equals the 2D block on every frame, ``t`` the 1D block at every place."""
    norm = {"norm": "none"} if name == "cgnl" else {}  # a group norm looks at the whole clip in every mode
    block, x = make(name, mode=mode, gate=1.0, **norm).eval(), features()
    one = make(name, dims=2 if mode == "s" else 1, gate=1.0, **norm).eval()
    one.load_state_dict(block.state_dict())
    if mode == "s":
        wanted = torch.stack([one(x[:, :, t]) for t in range(2)], dim=2)
    else:
        columns = [[one(x[:, :, :, h, w]) for w in range(6)] for h in range(4)]
        wanted = torch.stack([torch.stack(row, dim=-1) for row in columns], dim=-2)
    torch.testing.assert_close(block(x), wanted, rtol=1e-4, atol=1e-5)


def test_factorised_is_time_and_then_space(name: str) -> None:
    block, x = make(name, mode="t+s", gate=1.0).double().eval(), features().double()
    temporal, spatial = (make(name, mode=mode).double().eval() for mode in ("t", "s"))
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
    along, across = temporal.operator(x).dense(), spatial.operator(temporal(x)).dense()  # (B·24, 2, 2), (B·2, 24, 24)
    for sample in range(2):
        for row, (t, place) in zip(rows[sample].unflatten(-1, (2, 24)), ((1, 6), (0, 5)), strict=True):
            for u in range(2):
                wanted = across[2 * sample + t, place] * along[24 * sample : 24 * (sample + 1), t, u]
                torch.testing.assert_close(row[u], wanted, rtol=1e-10, atol=1e-12)


def test_learns_from_the_identity(name: str) -> None:
    """The first step moves the gate; after it every parameter that can change the output has a gradient."""
    block, x, target = make(name), features(), features(seed=2)
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
    idle = [
        key
        for key, p in block.named_parameters()
        if (p.grad is None or not p.grad.any()) and not key.endswith("phi.bias")
    ]
    assert idle == []


@pytest.mark.parametrize("units", [1, 3])
def test_units_share_one_affinity(name: str, units: int) -> None:
    block = make(name, units=units)
    assert len(block.units) == units
    assert sum("affinity" in key for key, _ in block.named_parameters()) == sum(
        "affinity" in key for key, _ in make(name).named_parameters()
    )


def test_mask_equals_running_on_the_subset(name: str) -> None:
    block, x = make(name, gate=1.0, units=2).double().eval(), features().double()
    block.units[0].norm.train()
    block(x)  # running statistics other than 0 and 1
    block.eval()
    x = features(3).double()
    mask = torch.tensor([[True, False], [True, True]])
    noisy = x.clone()
    noisy[0, :, 1] = 1e3
    y = block(noisy, mask)
    torch.testing.assert_close(y[:1, :, :1], block(x[:1, :, :1]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(y[1:], block(x[1:]), rtol=1e-10, atol=1e-10)
    assert torch.equal(y[0, :, 1], noisy[0, :, 1])
    full = mask[:, :, None, None].expand(2, *SIZES[3])
    torch.testing.assert_close(block(noisy, full), y)


@pytest.mark.parametrize("mode", ["st", "s", "t"])
def test_what_lies_outside_any_mask_is_not_seen(name: str, mode: str) -> None:
    """Masks of single positions, in every mode: their content changes nothing, and they pass unchanged."""
    norm = {"norm": "none"} if name == "cgnl" and mode == "t" else {}
    block, x = make(name, mode=mode, gate=1.0, **norm).double().eval(), features().double()
    mask = torch.rand(2, *SIZES[3], generator=torch.Generator().manual_seed(3)) > 0.4
    noisy = torch.where(mask.unsqueeze(1), x, 1e3)
    y, z = block(x, mask), block(noisy, mask)
    inside = mask.unsqueeze(1).expand_as(x)
    torch.testing.assert_close(y[inside], z[inside], rtol=1e-10, atol=1e-10)
    assert torch.equal(z[~inside], noisy[~inside])
    assert (y - x)[inside].abs().max() > 1e-4
    if mode == "st" and name != "cc":  # the graph of the valid positions alone, in one dimension
        line = make(name, dims=1, gate=1.0, **norm).double().eval()
        line.load_state_dict(block.state_dict())
        for sample in range(2):
            valid = mask[sample]
            torch.testing.assert_close(y[sample][:, valid], line(x[sample][:, valid][None])[0], rtol=1e-9, atol=1e-9)


def test_mask_keeps_padding_out_of_the_statistics_of_training(name: str) -> None:
    if name in ("cc", "cgnl"):
        pytest.skip(f"{name} has no batch norm")
    block, alone, x = make(name, gate=1.0).double(), make(name, gate=1.0).double(), features().double()
    noisy = x.clone()
    noisy[:, :, 1] = 1e3
    y = block(noisy, torch.tensor([[True, False]]).expand(2, 2))
    torch.testing.assert_close(y[:, :, :1], alone(x[:, :, :1]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(block.units[0].norm.running_mean, alone.units[0].norm.running_mean)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_autocast_is_close(name: str, dtype: torch.dtype, masked: bool, norm: str) -> None:
    block, x = make(name, gate=1.0, norm=norm).eval(), features()
    mask = torch.tensor([[True, False], [True, True]]) if masked else None
    wanted = block(x, mask)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x, mask)
    assert torch.isfinite(y).all()
    assert (y.float() - wanted).norm() / (wanted - x).norm() < (0.05 if dtype == torch.bfloat16 else 0.01)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_runs_as_a_module_of_half_precision(name: str, norm: str) -> None:
    block, x = make(name, gate=1.0, norm=norm).eval(), features()
    wanted = block(x)
    y = block.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert y.dtype == torch.bfloat16
    assert (y.float() - wanted).norm() / (wanted - x).norm() < 0.05


def test_empty_batches_pass(name: str) -> None:
    x = torch.randn(0, CHANNELS, *SIZES[3])
    assert make(name, gate=1.0).eval()(x).shape == x.shape


def test_batch_norm_can_be_synchronised(name: str) -> None:
    """``convert_sync_batchnorm`` puts a norm without masks in place of ours."""
    block, x = make(name, gate=1.0, norm="batch").eval(), features()
    synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(block))
    mask = torch.tensor([[True, False], [True, True]])
    assert torch.equal(synchronised(x), block(x))
    assert torch.equal(synchronised(x, mask), block(x, mask))
    with pytest.raises(ValueError, match="SyncBatchNorm counts positions outside the mask"):
        synchronised.train()(x, mask)


def test_gradients_are_right_in_float64(name: str) -> None:
    torch.manual_seed(0)
    block = create_block(name, 4, dims=2, gate=0.7, **(OPTIONS.get(name, {}) | {"reduction": 2})).double().eval()
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = tuple(block.parameters())
    names = [key for key, _ in block.named_parameters()]

    def run(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(block, dict(zip(names, values, strict=True)), (x,))

    if name in (
        "dnl",
        "nl",
        "ns",
        "snl_2019",
        "gsnl",
        "cayley",
    ):  # the attention kernel's backward adds in varying order
        assert torch.autograd.gradcheck(run, (x, *parameters), nondet_tol=1e-10)
    else:
        assert torch.autograd.gradcheck(run, (x, *parameters))


def test_state_dict_round_trip_copy_and_pickle(name: str) -> None:
    block, x = make(name, gate=0.5).eval(), features()
    other = make(name, seed=7).eval()
    other.load_state_dict(block.state_dict())
    buffer = io.BytesIO()
    torch.save(block, buffer)
    buffer.seek(0)
    for twin in (other, copy.deepcopy(block), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(x), block(x))


def test_weights_serve_any_number_of_dimensions(name: str) -> None:
    block = make(name, dims=2)
    for dims in (1, 3):
        make(name, dims=dims).load_state_dict(block.state_dict())


def test_is_deterministic_in_eval_mode(name: str) -> None:
    block, x = make(name, gate=1.0).eval(), features()
    assert torch.equal(block(x), block(x))


def test_spectrum_is_that_of_the_dense_affinity(name: str) -> None:
    block, x = make(name).double().eval(), features().double()
    spectrum, matrices = block.spectrum(x), block.operator(x).dense()
    if name in SYMMETRIC:
        assert not spectrum.is_complex()
        torch.testing.assert_close(spectrum[:, 0], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    for ours, matrix in zip(spectrum.flatten(0, -2), matrices.flatten(0, -3), strict=True):
        wanted, size = torch.linalg.eigvals(matrix), max(1.0, matrix.abs().sum(-1).max().item())
        ours = torch.cat((ours.to(wanted), wanted.new_zeros(len(wanted) - len(ours))))
        far = [(ours - value).abs().min().item() for value in wanted] + [(wanted - o).abs().min().item() for o in ours]
        assert max(far) < 1e-6 * size  # eigenvalues that coincide are found to half the digits
        power = (matrix @ matrix).trace()  # which counts them
        torch.testing.assert_close(ours.square().sum().real, power, rtol=1e-10, atol=1e-10)


def test_response_is_what_the_unit_does_to_an_eigenvector(name: str) -> None:
    """For z = e v with A v = a v the terms are f_k(a) z, so that all e together have the gain's Frobenius norm."""
    block, x = make(name).double().eval(), features(batch=1).double()
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


def test_rows_are_those_of_the_dense_affinity(name: str) -> None:
    block, x = make(name).double().eval(), features().double()
    positions = torch.tensor([3, 40, 3])
    rows, matrix = block.affinity_rows(x, positions), block.operator(x).dense()
    torch.testing.assert_close(rows, matrix.index_select(-2, positions), rtol=1e-12, atol=1e-12)


def test_wrong_input_is_refused(name: str) -> None:
    block = make(name)
    for wrong in (features(2), torch.randn(2, CHANNELS + 1, *SIZES[3])):
        with pytest.raises(ValueError, match=r"was made for dims=3 and 16 channels"):
            block(wrong)
    with pytest.raises(ValueError, match=r"mask has shape \(2, 5\)"):
        block(features(), torch.ones(2, 5, dtype=torch.bool))


def test_no_two_options_collide(name: str) -> None:
    """Every option can be given, alone, with its own default."""
    from specvid.models.blocks import block_options

    for option, value in itertools.chain(block_options(name).items()):
        if value is not None:
            make(name, **{option: value})
