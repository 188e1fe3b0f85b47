"""``from_official`` against the modules of mmcv and timm, and against others written from their formulas."""

import itertools

import pytest
import torch
from published_blocks import AlexHex7, Disentangled, SlowFast, SpatialCGNL, SpatialNL, randomise
from torch import Tensor, nn

from specvid.models.blocks import create_block, from_official

CHANNELS = 12
MODES = {"embedded_gaussian": "embedded", "gaussian": "gaussian", "dot_product": "dot", "concatenation": "concat"}


def _features(dims: int) -> Tensor:
    sizes = (3, 4, 6)[-dims:]
    return torch.randn(2, CHANNELS, *sizes, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def _run(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = module(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    return y.detach(), x.grad


def _double(name: str, theirs: nn.Module, **given) -> nn.Module:
    """``from_official`` in float64: it makes blocks in float32, so that the weights are read once more."""
    torch.set_default_dtype(torch.float64)
    try:
        return from_official(name, theirs.state_dict(), **given)
    finally:
        torch.set_default_dtype(torch.float32)


def _same(name: str, theirs: nn.Module, *, dims: int = 3, **given) -> nn.Module:
    x, ours = _features(dims), _double(name, theirs, **given)
    for got, want in zip(_run(ours, x), _run(theirs, x), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    assert (theirs(x) - x).abs().max() > 0.05
    return ours


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_mmcv_with_a_norm(mode: str, sub_sample: bool) -> None:
    cnn = pytest.importorskip("mmcv.cnn", reason="pip install 'specvid[mmaction]'")
    theirs = cnn.NonLocal3d(CHANNELS, mode=mode, sub_sample=sub_sample, use_scale=False, norm_cfg={"type": "BN3d"})
    randomise(theirs)
    if mode == "concatenation":  # it divides the ReLU's output in place, which its own backward pass then refuses
        theirs.concat_project.register_forward_hook(lambda module, args, output: output.clone())
    _same("nl", theirs, constructor={"mode": mode, "use_scale": False, "sub_sample": sub_sample})


@pytest.mark.parametrize(("sub_sample", "norm"), [*itertools.product([False, True], repeat=2)])
@pytest.mark.parametrize("kernel", MODES.values())
def test_alexhex7(kernel: str, sub_sample: bool, norm: bool) -> None:
    theirs = randomise(AlexHex7(CHANNELS, kernel=kernel, sub_sample=sub_sample, norm=norm))
    _same("nl", theirs, **({"kernel": kernel} if kernel in ("embedded", "dot") else {}))


@pytest.mark.parametrize("kernel", ["softmax", "dot_product"])
@pytest.mark.parametrize(("pools", "norm_name"), [(False, "bn"), (True, "bn"), (True, "norm")])
def test_slowfast(kernel: str, pools: bool, norm_name: str) -> None:
    theirs = SlowFast(CHANNELS, kernel=MODES.get(kernel, "embedded"), pools=pools, norm_name=norm_name)
    size = (1, 2, 2) if pools else None
    ours = _same("nl", randomise(theirs), constructor={"instantiation": kernel, "pool_size": size})
    assert ours.affinity.sub_sample == ("input" if pools else False)


@pytest.mark.parametrize("use_scale", [False, True])
def test_timm(use_scale: bool) -> None:
    layers = pytest.importorskip("timm.layers", reason="pip install 'specvid[timm]'")
    theirs = randomise(layers.non_local_attn.NonLocalAttn(CHANNELS, rd_channels=8, use_scale=use_scale))
    _same("nl", theirs, dims=2, constructor={"use_scale": use_scale})
    if use_scale:
        _same("nl", theirs, dims=2)  # the default of its constructor
        with pytest.raises(AssertionError):
            _same("nl", theirs, dims=2, scale=True)  # Cs^-1/2 is another block


@pytest.mark.parametrize("use_scale", [False, True])
def test_nonlocal_of_the_cgnl_repository(use_scale: bool) -> None:
    _same("nl", randomise(SpatialNL(CHANNELS, use_scale=use_scale)), dims=2, constructor={"use_scale": use_scale})


@pytest.mark.parametrize("use_scale", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("order", [None, 2, 3])
def test_both_kernels_of_cgnl(order: int | None, groups: int, use_scale: bool) -> None:
    theirs = randomise(SpatialCGNL(CHANNELS, groups=groups, order=order, use_scale=use_scale))
    options = {"kernel": "dot"} if order is None else {"kernel": "gaussian", "order": order}
    _same("cgnl", theirs, dims=2, constructor={"use_scale": use_scale}, **options)


@pytest.mark.parametrize("downsample", [False, True])
@pytest.mark.parametrize(("use_out", "out_bn"), [*itertools.product([False, True], repeat=2)])
def test_dnl_with_gamma(downsample: bool, use_out: bool, out_bn: bool) -> None:
    theirs = Disentangled(CHANNELS, temperature=0.2, downsample=downsample, use_out=use_out, out_bn=out_bn)
    _same("dnl", randomise(theirs), dims=2, constructor={"temperature": 0.2, "downsample": downsample})


@pytest.mark.parametrize("norm", [False, True])
def test_dnl_of_mmsegmentation(norm: bool) -> None:
    cnn = pytest.importorskip("mmcv.cnn", reason="pip install 'specvid[mmaction]'")

    class DisentangledNonLocal2d(cnn.NonLocal2d):
        def __init__(self) -> None:
            super().__init__(CHANNELS, norm_cfg={"type": "BN"} if norm else None)
            self.conv_mask = nn.Conv2d(CHANNELS, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
            theta, phi = theta - theta.mean(2, keepdim=True), phi - phi.mean(2, keepdim=True)
            pairwise = (theta.transpose(1, 2) @ phi / theta.shape[1] ** 0.5 / 0.05).softmax(2)
            unary = self.conv_mask(x).flatten(2).softmax(2)
            y = g @ (pairwise + unary).transpose(1, 2)
            return x + self.conv_out(y.reshape(*y.shape[:2], *x.shape[2:]))

    _same("dnl", randomise(DisentangledNonLocal2d(), std=0.1), dims=2, constructor={"temperature": 0.05})


def test_what_weights_do_not_tell_must_be_given() -> None:
    cases = {
        "kernel": ("nl", AlexHex7(8, kernel="dot", sub_sample=False, norm=True), {}, "'kernel'.*non_local_dot_product"),
        "pool": ("nl", SlowFast(8), {}, "'sub_sample'.*'input'.*pool_size"),
        "cgnl": ("cgnl", SpatialCGNL(8, groups=1, order=2, use_scale=False), {}, "'kernel'.*SpatialCGNLx"),
        "scale": ("cgnl", SpatialCGNL(8, groups=1, order=2, use_scale=False), {"kernel": "dot"}, "'scale'.*use_scale"),
        "dnl": ("dnl", Disentangled(8, temperature=1.0, downsample=False), {}, "'scale'.*temperature"),
    }
    for name, module, given, message in cases.values():
        with pytest.raises(ValueError, match=f"does not determine {message}"):
            from_official(name, module.state_dict(), **given)


def test_wrong_constructor_arguments_are_refused() -> None:
    state = SlowFast(8).state_dict()
    with pytest.raises(ValueError, match=r"constructor argument of official module 'nl' 'pool' is unknown.*pool_size"):
        from_official("nl", state, constructor={"pool": None})
    with pytest.raises(ValueError, match=r"pool_size=\(2, 2, 2\) is not possible here"):
        from_official("nl", state, constructor={"pool_size": (2, 2, 2)})


@pytest.mark.parametrize("mode", ["st", "s"])
@pytest.mark.parametrize("options", [{"kernel": kernel} for kernel in MODES.values()] + [{"bias": True}], ids=str)
def test_features_pooled_before_the_convolutions(options: dict, mode: str) -> None:
    """The block sees pooled features as keys and values, of valid positions only, in every mode, and with units."""
    torch.manual_seed(0)
    block = create_block("nl", 8, sub_sample="input", mode=mode, units=2, gate=1.0, **options).double().eval()
    x, mask = torch.randn(2, 8, 2, 4, 4, dtype=torch.float64), torch.rand(2, 2, 4, 4) > 0.6
    mask[0, 0, :2, :2] = False  # a place to pool that has no valid position
    inside = mask.unsqueeze(1).expand_as(x)
    y, z = block(x, mask), block(torch.where(inside, x, 1e3), mask)
    torch.testing.assert_close(y[inside], z[inside], rtol=1e-12, atol=1e-12)
    assert torch.equal(y[~inside], x[~inside])
    assert (y - x)[inside].abs().max() > 1e-3
    if mode == "s":
        image = create_block("nl", 8, dims=2, sub_sample="input", units=2, gate=1.0, **options).double().eval()
        image.load_state_dict(block.state_dict())
        frames = torch.stack([image(x[:, :, t]) for t in range(2)], dim=2)
        torch.testing.assert_close(block(x), frames, rtol=1e-12, atol=1e-12)


def test_where_pooling_stands_makes_two_blocks() -> None:
    torch.manual_seed(0)
    before, after = (create_block("nl", 8, sub_sample=kind, gate=1.0).eval() for kind in ("input", True))
    after.load_state_dict(before.state_dict())
    x = torch.randn(1, 8, 2, 4, 4)
    assert (before(x) - after(x)).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"sub_sample='before' is unknown: choose False, True"):
        create_block("nl", 8, sub_sample="before")


@pytest.mark.parametrize("kernel", ["dot", "gaussian"])
def test_scaled_cgnl_with_masks_and_in_chunks(kernel: str) -> None:
    torch.manual_seed(0)
    block = create_block("cgnl", 8, kernel=kernel, scale=True, norm="none", groups=2, gate=1.0).double().eval()
    x = torch.randn(1, 8, 4, 3, 3, dtype=torch.float64)
    alone = block(x[:, :, :2])
    torch.testing.assert_close(block(x, torch.tensor([[True, True, False, False]]))[:, :, :2], alone)
    torch.testing.assert_close(torch.cat(list(block.stream(x.split([1, 3], dim=2))), dim=2), block(x))
    assert (alone - x[:, :, :2]).abs().max() > 1e-3


def test_gamma_of_dnl_starts_with_the_unary_term_alone() -> None:
    torch.manual_seed(0)
    block, x = create_block("dnl", 8, gamma=True).double().eval(), torch.randn(1, 8, 2, 3, 3, dtype=torch.float64)
    dense = block.operator(x).dense()
    torch.testing.assert_close(dense, dense[:, :1].expand_as(dense))
    block.affinity.gamma.data.fill_(0.5)
    torch.testing.assert_close(block.operator(x).dense().sum(-1), torch.full((1, 18), 1.5, dtype=torch.float64))
