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


@pytest.mark.parametrize("mode", ["st", "s", "t"])
def test_modes_are_the_block_on_each_graph(name: str, mode: str) -> None:
    """``s`` equals the 2D block on every frame, ``t`` the 1D block at every place."""
    norm = {"norm": "none"} if name == "cgnl" else {}  # a group norm looks at the whole clip in every mode
    block, x = make(name, mode=mode, gate=1.0, **norm).eval(), features()
    if mode == "st":
        flat = make(name, dims=3, mode="st", gate=1.0, **norm).eval()
        torch.testing.assert_close(block(x), flat(x))
        return
    one = make(name, dims=2 if mode == "s" else 1, gate=1.0, **norm).eval()
    one.load_state_dict(block.state_dict())
    if mode == "s":
        wanted = torch.stack([one(x[:, :, t]) for t in range(2)], dim=2)
    else:
        columns = [[one(x[:, :, :, h, w]) for w in range(6)] for h in range(4)]
        wanted = torch.stack([torch.stack(row, dim=-1) for row in columns], dim=-2)
    torch.testing.assert_close(block(x), wanted, rtol=1e-4, atol=1e-5)


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


def test_mask_keeps_padding_out_of_the_statistics_of_training(name: str) -> None:
    if name in ("cc", "cgnl"):
        pytest.skip(f"{name} has no batch norm")
    block, alone, x = make(name, gate=1.0).double(), make(name, gate=1.0).double(), features().double()
    noisy = x.clone()
    noisy[:, :, 1] = 1e3
    y = block(noisy, torch.tensor([[True, False]]).expand(2, 2))
    torch.testing.assert_close(y[:, :, :1], alone(x[:, :, :1]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(block.units[0].norm.running_mean, alone.units[0].norm.running_mean)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_autocast_is_close(name: str, dtype: torch.dtype) -> None:
    block, x = make(name, gate=1.0).eval(), features()
    wanted = block(x)
    with torch.autocast("cpu", dtype=dtype):
        y = block(x)
    assert torch.isfinite(y).all()
    assert (y.float() - wanted).norm() / (wanted - x).norm() < (0.05 if dtype == torch.bfloat16 else 0.01)


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


def test_looking_inside(name: str) -> None:
    block, x = make(name, gate=1.0).eval(), features()
    spectrum = block.spectrum(x)
    assert spectrum.shape[0] == 2
    if name in SYMMETRIC:
        assert not spectrum.is_complex()
        torch.testing.assert_close(spectrum[:, 0], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-6)
        dense = torch.linalg.eigvalsh(block.operator(x).dense().double()).flip(-1)
        padded = (
            torch.cat((spectrum, torch.zeros(2, dense.shape[1] - spectrum.shape[1])), 1).sort(descending=True).values
        )
        torch.testing.assert_close(padded, dense, rtol=0, atol=1e-5)
    eigenvalues, gain = block.response()
    assert gain.shape == (1, len(eigenvalues))
    assert (gain >= 0).all()
    assert block.response(torch.tensor([1.0, 0.0]))[1].shape == (1, 2)
    rows = block.affinity_rows(x, torch.tensor([3]))
    assert torch.isfinite(rows).all()


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
