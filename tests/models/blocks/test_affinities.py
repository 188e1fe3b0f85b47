"""Each affinity against its definition, entry by entry, in float64; applied, in rows and with masks."""

import math

import pytest
import torch

from specvid.models.blocks import create_block

CHANNELS, SIZES = 8, (2, 3, 4)
N = math.prod(SIZES)


def _vectors(block: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    affinity, flat = block.affinity, x.flatten(2)[0]
    return tuple(
        conv.weight.squeeze(-1) @ flat + (0 if conv.bias is None else conv.bias[:, None])
        for conv in (affinity.theta, affinity.phi)
    )


def _softmax_row(scores: list[float]) -> list[float]:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return [weight / sum(weights) for weight in weights]


def _embedded(block, x, scale=1.0):
    theta, phi = _vectors(block, x)
    return [_softmax_row([scale * float(theta[:, i] @ phi[:, j]) for j in range(N)]) for i in range(N)]


def _scaled(block, x):
    return _embedded(block, x, scale=block.affinity.theta.weight.shape[0] ** -0.5)


def _gaussian(block, x):
    flat = x.flatten(2)[0]
    return [_softmax_row([float(flat[:, i] @ flat[:, j]) for j in range(N)]) for i in range(N)]


def _dot(block, x):
    theta, phi = _vectors(block, x)
    return [[float(theta[:, i] @ phi[:, j]) / N for j in range(N)] for i in range(N)]


def _concat(block, x):
    theta, phi = _vectors(block, x)
    weight = block.affinity.project.weight.flatten()
    return [[max(0.0, float(weight @ torch.cat((theta[:, i], phi[:, j])))) / N for j in range(N)] for i in range(N)]


def _relu(block, x):
    theta, phi = _vectors(block, x)
    return [[float(theta[:, i].clamp_min(0) @ phi[:, j].clamp_min(0)) for j in range(N)] for i in range(N)]


def _symmetric(block, x):
    m = _relu(block, x)
    m = [[(m[i][j] + m[j][i]) / 2 for j in range(N)] for i in range(N)]
    degree = [sum(row) for row in m]
    return [[0.0 if m[i][j] == 0 else m[i][j] / math.sqrt(degree[i] * degree[j]) for j in range(N)] for i in range(N)]


def _double(block, x):
    theta, phi = _vectors(block, x)
    gather = [_softmax_row(row.tolist()) for row in phi]
    distribute = [_softmax_row(column.tolist()) for column in theta.T]
    return [[sum(distribute[i][r] * gather[r][j] for r in range(len(gather))) for j in range(N)] for i in range(N)]


def _disentangled(block, x):
    theta, phi = _vectors(block, x)
    if block.affinity.whiten:
        theta, phi = theta - theta.mean(1, keepdim=True), phi - phi.mean(1, keepdim=True)
    unary = _softmax_row((block.affinity.unary.weight.squeeze(-1) @ x.flatten(2)[0])[0].tolist())
    pairwise = [_softmax_row([float(theta[:, i] @ phi[:, j]) for j in range(N)]) for i in range(N)]
    return [[pairwise[i][j] + unary[j] for j in range(N)] for i in range(N)]


def _criss_cross(block, x):
    theta, phi = _vectors(block, x)
    places = [(t, h, w) for t in range(SIZES[0]) for h in range(SIZES[1]) for w in range(SIZES[2])]
    rows = []
    for i, place in enumerate(places):
        line = [j for j, other in enumerate(places) if sum(a != b for a, b in zip(place, other, strict=True)) <= 1]
        weights = _softmax_row([float(theta[:, i] @ phi[:, j]) for j in line])
        rows.append([weights[line.index(j)] if j in line else 0.0 for j in range(N)])
    return rows


CASES = {
    "nl": (_embedded, {}),
    "nl-scaled": (_scaled, {"scale": True}),
    "nl-gaussian": (_gaussian, {"kernel": "gaussian"}),
    "nl-dot": (_dot, {"kernel": "dot"}),
    "nl-concat": (_concat, {"kernel": "concat", "bias": True}),
    "relu_dot": (_relu, {}),
    "snl": (_symmetric, {}),
    "snl-linear": (_symmetric, {"impl": "linear"}),
    "snl-dense": (_symmetric, {"impl": "dense", "bias": True}),
    "a2": (_double, {"bias": True}),
    "dnl": (_disentangled, {}),
    "dnl-raw": (_disentangled, {"whiten": False}),
    "cc": (_criss_cross, {}),
}


@torch.no_grad()
def _make(case: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(3)
    options = CASES[case][1] | ({"reduction": 2} if case == "cc" else {})
    block = create_block(case.split("-")[0], CHANNELS, **options).double().eval().requires_grad_(False)
    return block, torch.randn(1, CHANNELS, *SIZES, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_dense_is_the_definition(case: str) -> None:
    block, x = _make(case)
    wanted = torch.tensor(CASES[case][0](block, x), dtype=torch.float64)
    torch.testing.assert_close(block.operator(x).dense()[0], wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_applied_and_rows_equal_dense(case: str) -> None:
    block, x = _make(case)
    operator, z = block.operator(x), torch.randn(1, 5, N, dtype=torch.float64)
    dense = operator.dense()
    torch.testing.assert_close(operator.apply(z), torch.einsum("bnm,bdm->bdn", dense, z), rtol=0, atol=1e-12)
    positions = torch.tensor([0, 7, N - 1, 7])
    torch.testing.assert_close(block.affinity_rows(x, positions), dense[:, positions], rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_masked_positions_are_related_to_nothing(case: str) -> None:
    """The rows and columns of the valid positions are those of the valid positions alone."""
    block, x = _make(case)
    mask = torch.tensor([[True, False]])
    dense = block.operator(x, mask).dense()[0]
    frame = N // 2
    alone = block.operator(x[:, :, :1]).dense()[0]
    torch.testing.assert_close(dense[:frame, :frame], alone, rtol=0, atol=1e-13)
    assert not dense[:, frame:].any()
    assert not dense[frame:].any()


def test_cgnl_relates_channels_and_positions() -> None:
    torch.manual_seed(0)
    block = create_block("cgnl", CHANNELS, groups=2, order=3, gamma=0.1).double()
    x = torch.randn(1, CHANNELS, *SIZES, dtype=torch.float64)
    theta, phi = _vectors(block, x)
    dense = block.operator(x).dense()[0]
    for group in range(2):
        t, p = theta[2 * group : 2 * group + 2].flatten(), phi[2 * group : 2 * group + 2].flatten()
        product = 2 * 0.1 * t[:, None] * p[None]
        wanted = math.exp(-0.2) * sum(
            (product**0 if k == 0 else (0.2**k) * (t[:, None] * p[None]) ** k) / math.factorial(k) for k in range(4)
        )
        torch.testing.assert_close(dense[group], wanted, rtol=0, atol=1e-12)
    z = torch.randn(1, 4, N, dtype=torch.float64)
    applied = torch.einsum("guv,gv->gu", dense, z.reshape(2, -1)).reshape(1, 4, N)
    torch.testing.assert_close(block.operator(x).apply(z), applied, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", ["embedded", "gaussian", "dot", "concat"])
def test_sub_sampling_pools_keys_and_values(kernel: str) -> None:
    torch.manual_seed(0)
    block = create_block("nl", CHANNELS, kernel=kernel, sub_sample=True).double().eval()
    x, z = torch.randn(2, CHANNELS, 2, 4, 6, dtype=torch.float64), torch.randn(2, 5, 48, dtype=torch.float64)
    operator = block.operator(x)
    pooled = torch.nn.functional.max_pool2d(z.reshape(2, -1, 4, 6), 2).reshape(2, 5, 12)
    assert operator.dense().shape == (2, 48, 12)
    torch.testing.assert_close(
        operator.apply(z), torch.einsum("bnm,bdm->bdn", operator.dense(), pooled), rtol=0, atol=1e-12
    )
    with pytest.raises(ValueError, match="sub_sample=True pools 2 x 2"):
        block(torch.randn(1, CHANNELS, 2, 1, 6, dtype=torch.float64))


@pytest.mark.parametrize("mode", ["st", "s"])
@pytest.mark.parametrize("kernel", ["embedded", "gaussian", "dot", "concat"])
def test_sub_sampling_pools_valid_positions_only(kernel: str, mode: str) -> None:
    block = create_block("nl", 8, kernel=kernel, sub_sample=True, mode=mode, gate=1.0).double().eval()
    torch.manual_seed(0)
    x, mask = torch.randn(2, 8, 2, 4, 4, dtype=torch.float64), torch.rand(2, 2, 4, 4) > 0.6
    mask[0, 0, :2, :2] = False  # a place to pool that has no valid position
    inside = mask.unsqueeze(1).expand_as(x)
    y, z = block(x, mask), block(torch.where(inside, x, 1e3), mask)
    torch.testing.assert_close(y[inside], z[inside], rtol=1e-12, atol=1e-12)
    assert (y - x)[inside].abs().max() > 1e-3
    assert block.operator(x, mask).dense().isfinite().all()


def test_pooled_affinities_have_no_eigenvalues() -> None:
    for kernel in ("embedded", "gaussian", "dot", "concat"):
        block = create_block("nl", 8, kernel=kernel, sub_sample=True)
        with pytest.raises(ValueError, match="the affinity is 32 x 8: only a square one has eigenvalues"):
            block.spectrum(torch.randn(1, 8, 2, 4, 4))
