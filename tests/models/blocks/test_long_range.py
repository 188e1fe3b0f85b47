"""Long-range blocks: recorded modules of the authors, their formulas position by position, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from published_blocks import randomise
from safetensors.torch import load_file
from torch import Tensor, nn

import specvid
from specvid.models.blocks import create_block, from_official

GOLDEN = Path(__file__).parents[2] / "golden" / "long_range"
CHANNELS, SIZES = 8, (2, 3, 4)

_HAM = {"SPATIAL": True, "MD_S": 1, "MD_D": 16, "MD_R": 6, "TRAIN_STEPS": 6, "EVAL_STEPS": 7, "RAND_INIT": True}
# What the references were made with, by the names of their own constructors (manifest.json of the golden files).
CONSTRUCTORS: dict[str, dict[str, Any]] = {
    "gnconv": {"dim": 16, "order": 5, "s": 1 / 3},
    "bot_mhsa": {"dim": 16, "fmap_size": [6, 7], "heads": 2, "dim_head": 8, "rel_pos_emb": True},
    "bot_mhsa_abs": {"dim": 16, "fmap_size": [6, 7], "heads": 2, "dim_head": 8, "rel_pos_emb": False},
    "halo": {"dim": 16, "num_heads": 2, "block_size": 4, "halo_size": 1},
    "pdc": {"in_planes": 16, "planes": 16, "stride": 1, "planes_ho": 12, "n_lconvs": 1, "use_only_first_conv": True},
    "ham_nmf": _HAM,
    "ham_vq": _HAM | {"INV_T": 20},
    "ham_cd": _HAM | {"INV_T": 20, "BETA": 0.1},
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
@pytest.mark.parametrize("dims", [2, 3])
def test_equals_the_recorded_module(name: str, dims: int) -> None:
    numbers = load_file(GOLDEN / f"{name}.safetensors")
    state = {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}
    given = {"mode": "s"} if dims == 3 and name == "halo" else {}  # its zeros beyond the border would lie in time too
    official = name.removesuffix("_abs")
    block = from_official(official, state, constructor=CONSTRUCTORS[name], dims=dims, **given)
    x = numbers["x"].clone().requires_grad_()
    y = block(x) if dims == 2 else block(x.unsqueeze(2)).squeeze(2)
    y.backward(numbers["grad_y"])
    near = 3e-5 if name == "ham_vq" else 1e-5  # six sharp softmaxes after one another enlarge rounding
    torch.testing.assert_close(y, numbers["y"], rtol=0, atol=near)
    torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=near)


def test_every_recorded_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CONSTRUCTORS)


def test_the_window_of_halo_does_not_tell_its_block() -> None:
    numbers = load_file(GOLDEN / "halo.safetensors")
    state = {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}
    with pytest.raises(ValueError, match="window 6 = block"):
        from_official("halo", state)


def _random(name: str, *, dims: int = 3, **options: Any) -> tuple[nn.Module, Tensor]:
    block = randomise(create_block(name, CHANNELS, dims=dims, identity=False, **options)).eval()
    return block, torch.randn(2, CHANNELS, *SIZES[3 - dims :], dtype=torch.float64)


def _positions() -> list[tuple[int, int, int]]:
    return [(t, h, w) for t in range(SIZES[0]) for h in range(SIZES[1]) for w in range(SIZES[2])]


def _heads(vector: Tensor, heads: int) -> Tensor:
    return vector.reshape(heads, -1)


@pytest.mark.parametrize("position", ["relative", "absolute", "none"])
def test_bot_is_its_formula(position: str) -> None:
    lengths = {"frames": 2, "height": 2, "width": 4}  # along the height, distances beyond the table
    block, x = _random("bot", heads=2, position=position, bias=True, **lengths)
    for sample, y in zip(x, block(x), strict=True):
        flat = sample.flatten(1)
        q, k, v = (block.qkv.weight[..., 0] @ flat + block.qkv.bias[:, None]).chunk(3)
        for i, here in enumerate(_positions()):
            scores = torch.zeros(2, len(_positions()), dtype=torch.float64)
            for j, there in enumerate(_positions()):
                key = _heads(k[:, j], 2)
                if position != "none":
                    for axis, (table, a, b) in enumerate(zip(block.tables.values(), here, there, strict=True)):
                        most = list(lengths.values())[axis] - 1
                        place = min(max(b - a, -most), most) + most if position == "relative" else min(b, most)
                        key = key + table[place]
                scores[:, j] = (_heads(q[:, i], 2) * key).sum(1) / 2**0.5  # d = 2
            seen = scores.softmax(1) @ v.unflatten(0, (2, -1)).mT  # of each head with the values of each
            mixed = torch.cat([seen[h, h] for h in range(2)])
            wanted = flat[:, i] + block.out.weight[..., 0] @ mixed + block.out.bias
            torch.testing.assert_close(y.flatten(1)[:, i], wanted)


@pytest.mark.parametrize("padding", ["masked", "zeros"])
@pytest.mark.parametrize("sizes", [(2, 3, 4), (4, 2, 2)])
def test_halo_is_its_formula(sizes: tuple[int, int, int], padding: str) -> None:
    """Blocks of two positions with a halo of one, in features that are no multiple of them."""
    block, _ = _random("halo", heads=2, block=2, halo=1, padding=padding)
    x = torch.randn(1, CHANNELS, *sizes, dtype=torch.float64)
    y = block(x)[0]
    at = {(t, h, w) for t in range(sizes[0]) for h in range(sizes[1]) for w in range(sizes[2])}
    for here in sorted(at):
        q = _heads(block.q.weight[..., 0] @ x[0, :, here[0], here[1], here[2]], 2)
        scores, values = [], []
        corner = [place // 2 * 2 - 1 for place in here]
        for offset in ((a, b, c) for a in range(4) for b in range(4) for c in range(4)):
            there = tuple(start + step for start, step in zip(corner, offset, strict=True))
            if there not in at and padding == "masked":
                continue
            kv = torch.zeros(2, 4, dtype=torch.float64)
            if there in at:
                kv = _heads(block.kv.weight[..., 0] @ x[0, :, there[0], there[1], there[2]], 2)
            score = (q * kv[:, :2]).sum(1) / 2**0.5
            for table, inside, step in zip(block.tables.values(), here, offset, strict=True):
                score = score + q @ table[step - inside % 2 + 3]
            scores.append(score)
            values.append(kv[:, 2:])
        weights = torch.stack(scores).softmax(0)
        mixed = (weights.unsqueeze(-1) * torch.stack(values)).sum(0).flatten()
        wanted = x[0, :, here[0], here[1], here[2]] + block.out.weight[..., 0] @ mixed
        torch.testing.assert_close(y[:, here[0], here[1], here[2]], wanted)


def _between(features: Tensor, place: list[float]) -> tuple[Tensor, Tensor]:
    """Linear interpolation of (d, *SIZES) over the positions that exist, and their share in it."""
    axes = [(1 - (torch.arange(size) - at).abs()).clamp_min(0).double() for at, size in zip(place, SIZES, strict=True)]
    weight = torch.einsum("t,h,w->thw", *axes)
    return (features * weight).sum((1, 2, 3)) / weight.sum().clamp_min(1e-9), weight.sum()


@pytest.mark.parametrize("moved", [False, True])
def test_dgmn2_is_its_formula(moved: bool) -> None:
    """Without offsets it is attention over the window; with them each sample lies between positions."""
    block, x = _random("dgmn2", heads=2)
    for table in block.offsets.values():
        table.data.normal_(std=0.2 if moved else 0.0)
    y = block(x[:1])[0].flatten(1)
    flat = x[0].flatten(1)
    q, k, v = (block.qkv.weight[..., 0] @ flat).unflatten(1, SIZES).chunk(3)
    for number, here in list(enumerate(_positions()))[::5]:
        mixed = []
        for head, channels in enumerate((slice(0, 2), slice(2, 4))):
            query = q[channels].flatten(1)[:, number]
            numerator, denominator = torch.zeros(2, dtype=torch.float64), torch.zeros(())
            for count, step in enumerate((a, b, c) for a in range(3) for b in range(3) for c in range(3)):
                offsets = [table[head].flatten(1)[:, count] @ flat[:, number] for table in block.offsets.values()]
                place = [p + s - 1 + o.item() for p, s, o in zip(here, step, offsets, strict=True)]
                (key, share), (value, _) = _between(k[channels], place), _between(v[channels], place)
                part = share * (query @ key / 2**0.5).exp()
                numerator, denominator = numerator + part * value, denominator + part
            mixed.append(numerator / denominator)
        torch.testing.assert_close(y[:, number], flat[:, number] + block.out.weight[..., 0] @ torch.cat(mixed))


def test_gnconv_is_its_formula() -> None:
    block, x = _random("gnconv", order=3, kernel=3, scale=0.5)
    for sample, y in zip(x, block(x), strict=True):
        z = block.proj.weight[..., 0] @ sample.flatten(1) + block.proj.bias[:, None]
        p, a = z[:2], z[2:].unflatten(1, SIZES)
        padded = nn.functional.pad(a, (1,) * 6)
        for i, (t, h, w) in enumerate(_positions()):
            window = padded[:, t : t + 3, h : h + 3, w : w + 3]
            gates = 0.5 * ((block.depthwise.weight[:, 0] * window).sum((1, 2, 3)) + block.depthwise.bias)
            value = p[:, i] * gates[:2]
            for raises, gate in zip(block.raises, gates[2:].split((4, 8)), strict=True):
                value = (raises.weight[..., 0] @ value + raises.bias) * gate
            wanted = sample.flatten(1)[:, i] + block.out.weight[..., 0] @ value + block.out.bias
            torch.testing.assert_close(y.flatten(1)[:, i], wanted)


@pytest.mark.parametrize("first_order", [False, True])
def test_pdc_is_its_formula(first_order: bool) -> None:
    block, x = _random("pdc", inner=3, first_order=first_order)
    convolve = nn.functional.conv3d

    def norm(layer: nn.Module, z: Tensor) -> Tensor:
        scale = layer.weight / (layer.running_var + layer.eps).sqrt()
        return (z - layer.running_mean[:, None, None, None]) * scale[:, None, None, None] + layer.bias[
            :, None, None, None
        ]

    def leaky(z: Tensor) -> Tensor:
        return torch.where(z > 0, z, z / 100)

    for sample, y in zip(x, block(x), strict=True):
        seen = norm(block.norm, sample)
        pairs = zip(block.u, block.u_norm, strict=True)
        first, second = (leaky(norm(n, convolve(seen, u.weight, padding=1))) for u, n in pairs)
        joined = convolve(first * second, block.join.weight, padding=1).flatten(1)
        joined = (joined - joined.mean(1, keepdim=True)) / (joined.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        wanted = sample + block.alpha * leaky(joined).unflatten(1, SIZES)
        if first_order:
            wanted = (wanted + norm(block.v_norm, convolve(sample, block.v.weight, padding=1)).relu()).relu()
        torch.testing.assert_close(y, wanted)


def test_a_factorisation_of_low_rank_is_found() -> None:
    """Features that are a product of two non-negative factors come out as they are, after enough steps."""
    torch.manual_seed(0)
    block = create_block(
        "hamburger", 12, dims=1, rank=3, eval_steps=2000, bread=False, project=False, residual=False, identity=False
    )
    x = (torch.rand(1, 12, 3) @ torch.rand(1, 3, 40)).double()
    block.double().eval()
    assert (block(x) - x).norm() / x.norm() < 0.02


@pytest.mark.parametrize("method", ["nmf", "vq", "cd"])
def test_bases_are_redrawn_in_training_alone(method: str) -> None:
    block, x = _random("hamburger", method=method, rank=4, redraw=True)
    assert torch.equal(block(x), block(x))
    block.train()
    assert not torch.equal(block(x), block(x))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bot", {"heads": 3}, "heads=3 of block 'bot' is not possible: it must divide the 4 inner"),
        ("bot", {"position": "rel"}, "Did you mean 'relative'"),
        ("bot", {"residual": False}, "cannot start as the identity"),
        (
            "bot",
            {"project": False, "identity": False},
            "project=False needs an inner width of 8, the channels of the block: not 4",
        ),
        ("halo", {"block": 0}, "block=0 of block 'halo' is not possible: it is an integer from 1 up"),
        ("halo", {"heads": 3}, "heads=3 of block 'halo' is not possible: it must divide the 4 inner channels"),
        ("dgmn2", {"heads": 3}, "heads=3 of block 'dgmn2' is not possible"),
        ("dgmn2", {"kernel": 2}, "kernel=2 of block 'dgmn2' is not possible: it is an odd integer"),
        ("gnconv", {"order": 5}, r"a multiple of 2\^\(order - 1\) = 16"),
        ("gnconv", {"kernel": 4}, "kernel=4 of block 'gnconv' is not possible: it is an odd integer"),
        ("pdc", {"first_order": True}, "cannot start as the identity"),
        ("hamburger", {"method": "pca"}, "method 'pca' is unknown"),
        ("hamburger", {"rank": 0}, "rank=0 of block 'hamburger' is not possible"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_block(name, CHANNELS, **options)


@pytest.mark.parametrize("name", ["bot", "dgmn2", "gnconv", "halo", "hamburger", "pdc"])
@pytest.mark.parametrize("network", ["mobilenet_v3_small", "r3d_tiny"])
def test_it_goes_into_a_network(name: str, network: str) -> None:
    places = {"mobilenet_v3_small": "features.-2", "r3d_tiny": "layer2.-1"}
    torch.manual_seed(0)
    bare = specvid.create_model(network, num_classes=3).eval()
    torch.manual_seed(0)
    model = specvid.create_model(network, num_classes=3, blocks=f"{name}@{places[network]}").eval()
    x = torch.randn(1, 3, 8, 40, 40)
    assert torch.equal(model(x), bare(x))
