"""The theorem of 2108.02451 as equalities in float64: the family are filters of an affinity, most polynomials."""

import pytest
import torch

from specvid.models.blocks import create_block
from specvid.models.blocks.filters.polynomial import Chebyshev
from specvid.models.blocks.grid import Grid

CHANNELS, SIZES = 12, (3, 4, 5)
POSITIONS = 3 * 4 * 5


def _input(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, CHANNELS, *SIZES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _block(name: str, seed: int = 1, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    block = create_block(name, CHANNELS, gate=1.0, **options).double().eval()
    for parameter in block.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.4)
    return block


def _share(target: torch.nn.Module, source: torch.nn.Module) -> None:
    """The affinity and g of ``source`` in ``target``."""
    target.affinity.load_state_dict(source.affinity.state_dict())
    for ours, theirs in zip(target.units, source.units, strict=True):
        ours.g.load_state_dict(theirs.g.state_dict())
        ours.norm.load_state_dict(theirs.norm.state_dict())


def _same(first: torch.nn.Module, second: torch.nn.Module) -> None:
    x = _input().requires_grad_()
    other = _input().requires_grad_()
    y, z = first(x), second(other)
    torch.testing.assert_close(y, z, rtol=0, atol=1e-12)
    y.square().sum().backward()
    z.square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-11, atol=1e-11)


def test_nl_is_chebyshev_of_order_1_without_w0() -> None:
    nl = _block("nl")
    cheb = _block("cheb", order=1, affinity="embedded", relu=False)
    _share(cheb, nl)
    cheb.units[0].weights[0].weight.data.zero_()
    cheb.units[0].weights[1].weight.data.copy_(nl.units[0].weights[0].weight)
    _same(nl, cheb)


def test_ns_is_chebyshev_of_order_1_with_w0_minus_w1() -> None:
    ns = _block("ns", units=2)
    cheb = _block("cheb", order=1, affinity="embedded", units=2)
    _share(cheb, ns)
    for ours, theirs in zip(cheb.units, ns.units, strict=True):
        ours.weights[0].weight.data.copy_(theirs.weights[0].weight)
        ours.weights[1].weight.data.copy_(-theirs.weights[0].weight)
    _same(ns, cheb)


def test_snl_is_chebyshev_of_order_1() -> None:
    snl, cheb = _block("snl"), _block("cheb", order=1)
    cheb.load_state_dict(snl.state_dict())
    _same(snl, cheb)


def test_snl_2019_is_chebyshev_of_order_1_on_a_softmax() -> None:
    snl, cheb = _block("snl_2019", relu=True), _block("cheb", order=1, affinity="embedded")
    cheb.load_state_dict(snl.state_dict())
    _same(snl, cheb)


@pytest.mark.parametrize("name", ["dnl", "cc", "a2", "relu_dot"])
def test_these_blocks_are_their_affinity_alone(name: str) -> None:
    block, x = _block(name, recurrence=1), _input()
    unit = block.units[0]
    z_bdn = unit.g(x.flatten(2))
    filtered = torch.einsum("bnm,bdm->bdn", block.operator(x).dense(), z_bdn)
    torch.testing.assert_close(
        block(x).flatten(2), x.flatten(2) + unit.finish(unit.project([filtered]), None), rtol=0, atol=1e-9
    )


def test_gsnl_is_snl_with_other_weights() -> None:
    gsnl, snl = _block("gsnl"), _block("snl_2019")
    _share(snl, gsnl)
    w0, w1, w2 = (weight.weight for weight in gsnl.units[0].weights)
    snl.units[0].weights[0].weight.data.copy_(w0 - w2)
    snl.units[0].weights[1].weight.data.copy_(w1 + 2 * w2)
    _same(gsnl, snl)


def test_a_true_second_order_block_is_not_gsnl() -> None:
    """T_2 = 2 A^2 - I leaves the span of (I, A), which 2 A - I does not."""
    a = _block("snl").operator(_input()).dense()[0]
    eye = torch.eye(POSITIONS, dtype=a.dtype)
    basis = torch.stack((eye, a)).flatten(1).T
    for term, inside in ((2 * a - eye, True), (2 * a @ a - eye, False)):
        residual = basis @ torch.linalg.lstsq(basis, term.flatten()[:, None]).solution - term.flatten()[:, None]
        assert (residual.norm().item() < 1e-10) is inside


@pytest.mark.parametrize("seed", range(5))
def test_eigenvalues_of_snl_lie_in_minus_one_to_one(seed: int) -> None:
    values = torch.linalg.eigvalsh(_block("snl", seed).operator(_input(seed)).dense())
    assert values.min() >= -1 - 1e-12
    torch.testing.assert_close(values.max(dim=-1).values, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("impl", ["linear", "dense"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cheb", {"order": 1}),
        ("cheb", {"order": 5}),
        ("arma", {"order": 1}),
        ("arma", {"order": 4}),
        ("cayley", {"order": 1}),
        ("cayley", {"order": 3}),
        ("heat", {"order": 1}),
        ("heat", {"order": 3}),
        ("spectral", {"function": lambda frequency: torch.exp(-((frequency - 0.7) ** 2) * 3)}),
    ],
    ids=lambda value: (
        str(value)
        if isinstance(value, str)
        else "-".join(f"{k}" + (f"{v}" if isinstance(v, int) else "") for k, v in value.items())
    ),
)
def test_filters_equal_the_dense_eigendecomposition(name: str, options: dict, impl: str) -> None:
    """f(A) z = V f(Lambda) V^T z for every term of the filter."""
    block, x = _block(name, impl=impl, **options), _input()
    z_bdn = block.units[0].g(x.flatten(2))
    values, vectors = torch.linalg.eigh(block.operator(x).dense())
    filter = block.units[0].filter
    terms = filter(block.operator(x), z_bdn)
    assert len(terms) == filter.terms
    for graph in range(2):
        for term, response in zip(terms, filter.response(values[graph]), strict=True):
            function = vectors[graph] @ torch.diag(response) @ vectors[graph].T
            torch.testing.assert_close(term[graph], z_bdn[graph] @ function, rtol=0, atol=1e-11)


def test_cayley_transform_is_on_the_unit_circle() -> None:
    filter = _block("cayley", order=2).units[0].filter
    real, imaginary = filter.response(torch.linspace(-1, 1, 33, dtype=torch.float64))[1:3]
    torch.testing.assert_close(real**2 + imaginary**2, torch.ones_like(real))


def test_chebyshev_terms_are_the_polynomials() -> None:
    angles = torch.linspace(0, torch.pi, 21, dtype=torch.float64)
    wanted = torch.stack([torch.cos(k * angles) for k in range(7)])
    torch.testing.assert_close(Chebyshev(6).response(torch.cos(angles)), wanted)


@pytest.mark.parametrize(("sizes", "rounds"), [((5, 6), 2), ((3, 4, 5), 3)])
def test_criss_cross_reaches_everything_after_one_round_per_dimension(sizes: tuple[int, ...], rounds: int) -> None:
    torch.manual_seed(0)
    block = create_block("cc", 16, dims=len(sizes)).double()
    x = torch.randn(1, 16, *sizes, dtype=torch.float64)
    a = block.affinity(x.flatten(2), Grid(sizes)).dense()[0]
    reached = a
    for round in range(1, rounds + 1):
        assert (reached > 0).all() == (round == rounds)
        reached = reached @ a


class Decay(torch.nn.Module):
    """exp(-rate · frequency), the rate learned."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, frequencies: torch.Tensor) -> torch.Tensor:
        return torch.exp(-self.rate * frequencies)


def test_a_function_that_learns_stays_exact() -> None:
    """A sharper function needs a longer series than the one it started with."""
    decay = Decay()
    learned = create_block("spectral", 8, function=decay, gate=1.0).double().eval()
    x = torch.randn(1, 8, 2, 3, 3, dtype=torch.float64)
    learned(x)
    before = learned.units[0].filter.degree
    decay.rate.data.fill_(20.0)
    fresh = create_block("spectral", 8, function=lambda f: torch.exp(-20 * f), gate=1.0).double().eval()
    fresh.load_state_dict(learned.state_dict(), strict=False)
    torch.testing.assert_close(learned(x), fresh(x), rtol=0, atol=1e-12)
    assert learned.units[0].filter.degree > before
    learned(x).sum().backward()
    assert decay.rate.grad.abs() > 0
