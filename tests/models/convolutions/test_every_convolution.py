"""One tester over every convolution replacement: what each must do in the place of any convolution."""

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from specvid.models.convolutions import (
    StaticConvolution,
    convolution_from,
    convolution_options,
    create_convolution,
    list_convolutions,
)
from specvid.models.convolutions.spec import ConvolutionSpec, kernels_as_products

NAMES = list_convolutions()
IN, OUT = 8, 12
SIZES = {1: (7,), 2: (7, 6), 3: (3, 7, 6)}
# (window, stride, padding, dilation, groups, bias): what stands in networks
GEOMETRIES = [(3, 1, 1, 1, 1, False), (3, 2, 1, 1, 1, True), (1, 2, 0, 1, 1, False), (3, 1, 0, 1, 2, True)]
GEOMETRIES += [(3, 1, 2, 2, 4, False), (2, 1, 0, 1, 1, True)]
# With these each can be exactly the convolution it replaces, for 8 channels in and 12 out
EXACT: dict[str, dict[str, Any]] = {"phc": {"n": 1}, "bt": {"blocks": 1, "rank": 1000}}
PLAIN = {"ghost": {"norm": False}, "c_ghost": {"norm": False}}


def convolution(dims: int = 2, geometry: tuple[Any, ...] = GEOMETRIES[0]) -> nn.Module:
    torch.manual_seed(0)
    kernel, stride, padding, dilation, groups, bias = geometry
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](IN, OUT, kernel, stride, padding, dilation, groups, bias)


def replaced(name: str, conv: nn.Module, **options: Any) -> nn.Module:
    torch.manual_seed(1)
    return convolution_from(conv, name, **options)


def active(name: str, dims: int = 2, **options: Any) -> nn.Module:
    """A replacement that no longer computes what the convolution did."""
    layer = replaced(name, convolution(dims), **options)
    for parameter in layer.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return layer


def features(dims: int = 2, batch: int = 2) -> Tensor:
    return torch.randn(batch, IN, *SIZES[dims], generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_starts_from_the_function_of_the_convolution(name: str, dims: int, geometry: tuple[Any, ...]) -> None:
    """Of the same shape always; equal where the class says ``exact``, or is given what it takes to be."""
    conv, x = convolution(dims, geometry).double(), features(dims).double()
    options = {"n": 1} if name == "phc" else {"rank": 1000, "blocks": 1} if name == "bt" else PLAIN.get(name, {})
    layer, wanted = replaced(name, conv, **options), conv(x)
    y = layer(x)
    assert y.shape == wanted.shape
    exact = layer.start == "exact" or name in EXACT
    if exact:
        torch.testing.assert_close(y, wanted, rtol=1e-9, atol=1e-9)
    elif layer.start == "part":
        groups = geometry[4]
        first, second = y.unflatten(1, (groups, -1)).split((OUT // groups + 1) // 2, dim=2)
        trained = wanted.unflatten(1, (groups, -1))[:, :, : first.shape[2]]
        torch.testing.assert_close(first, trained, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(second, first[:, :, : second.shape[2]], rtol=1e-9, atol=1e-9)
    elif geometry[0] == 1:  # linear_conv: six filters of eight channels do not span the others
        assert (layer.kernel() - conv.weight).norm() < conv.weight.norm()


@pytest.mark.parametrize("filters", [None, 5])
def test_sample_specific_is_its_formula(filters: int | None) -> None:
    """Each sample alone, each filter as a sum over those of the repository."""
    layer = active("sample_specific", 3, filters=filters).double()
    x = features(3, batch=3).double()
    y = layer(x)
    for sample, ours in zip(x, y, strict=True):
        mean = torch.stack([channel.sum() / channel.numel() for channel in sample])
        own = layer.own.weight @ (layer.reduce.weight @ mean + layer.reduce.bias).clamp_min(0)
        for o, wanted in enumerate(ours):
            weight = torch.zeros_like(layer.repository[0])
            for m, one in enumerate(layer.repository):
                weight = weight + (layer.shared[o, m] + own[o * len(layer.repository) + m]) * one
            torch.testing.assert_close(nn.functional.conv3d(sample[None], weight[None], padding=1)[0, 0], wanted)
    assert not torch.allclose(layer(x[:1]), layer(x[:1] * 2) / 2)


def test_linear_conv_is_exact_where_half_of_the_filters_span_the_others() -> None:
    conv, x = nn.Conv2d(4, 12, 1).double(), torch.randn(2, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(convolution_from(conv, "linear_conv")(x), conv(x))


@pytest.mark.parametrize(("name", "more"), [("phc", {"n": 2}), ("bt", {"blocks": 3, "rank": 2})])
def test_the_nearest_kernel_is_no_worse_than_a_trained_one(name: str, more: dict[str, Any]) -> None:
    """Gradient descent from the start, on the distance to the trained kernel, does not get far below it."""
    conv = convolution().double()
    layer = replaced(name, conv, **more)
    start = (layer.kernel() - conv.weight).norm().item()
    optimizer = torch.optim.Adam(layer.parameters(), lr=5e-3)
    for _ in range(60):
        loss = (layer.kernel() - conv.weight).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    end = (layer.kernel() - conv.weight).norm().item()
    assert 0.1 < start < conv.weight.norm().item()
    assert end > (0.999 if name == "phc" else 0.8) * start  # block by block is not all blocks at once


@pytest.mark.parametrize("name", NAMES)
def test_learns(name: str) -> None:
    """Once the first steps are made every parameter has a gradient, and the loss falls."""
    layer, x = replaced(name, convolution()), features()
    target = torch.randn_like(layer(x))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert [key for key, p in layer.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right_in_float64(name: str) -> None:
    torch.manual_seed(0)
    layer = active(name, 1).double().eval()
    x = torch.randn(2, IN, 4, dtype=torch.float64, requires_grad=True)
    if name == "drconv":  # backward the regions are soft, on purpose: what does not go through them is right
        layer.guide.data.zero_()
        layer.guide_bias.data[0] = 1e3
    keys, values = zip(*((k, p) for k, p in layer.named_parameters() if not k.startswith("guide")), strict=True)

    def run(x: Tensor, *given: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(keys, given, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bt"])
def test_a_frame_is_an_image(name: str) -> None:
    """In 3D on one frame a layer computes what it does in 2D with the middle frames of its windows."""
    video, image = active(name, 3).double().eval(), active(name, 2).double().eval()
    for key, value in image.state_dict().items():
        theirs = video.state_dict()[key]
        if theirs.dim() == value.dim() + 1:
            value.copy_(theirs[..., theirs.shape[-3] // 2, :, :])
        else:
            value.copy_(theirs)
    x = features(2).double()
    torch.testing.assert_close(video(x.unsqueeze(2)).squeeze(2), image(x), rtol=1e-9, atol=1e-9)


def test_bt_of_a_frame() -> None:
    """The rows of the factor of the window are its positions: those of the middle frame are the image's."""
    video, image = active("bt", 3, rank=9).double(), active("bt", 2, rank=9).double()
    image.core.data.copy_(video.core)
    for ours, theirs in zip(image.factors, video.factors, strict=True):
        ours.data.copy_(theirs if ours.shape == theirs.shape else theirs[:, 9:18])
    x = features(2).double()
    torch.testing.assert_close(video(x.unsqueeze(2)).squeeze(2), image(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close(name: str, dtype: torch.dtype) -> None:
    layer, x = active(name).eval(), features()
    if name == "drconv":  # at the border of two regions rounding changes the kernel
        layer.guide_bias.data[0] = 1e3
    wanted = layer(x)
    with torch.autocast("cpu", dtype=dtype):
        y = layer(x)
    assert (y.float() - wanted).norm() / wanted.norm() < 0.05
    if dtype == torch.bfloat16:
        half = layer.to(dtype)(x.to(dtype))
        assert half.dtype == dtype
        assert (half.float() - wanted).norm() / wanted.norm() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip_copy_pickle_and_empty_batches(name: str) -> None:
    layer, x = active(name).eval(), features()
    other = replaced(name, convolution()).eval()
    other.load_state_dict(layer.state_dict())
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for twin in (other, copy.deepcopy(layer), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(x), layer(x))
    assert layer(x[:0]).shape == (0, OUT, *SIZES[2])
    assert torch.allclose(layer(x[:1]), layer(x)[:1], atol=1e-5)  # each sample for itself


@pytest.mark.parametrize("name", NAMES)
def test_compiles_and_exports(name: str) -> None:
    torch.compiler.reset()
    layer, x = active(name).eval(), features()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), layer(x), rtol=1e-4, atol=1e-5)
    exported = torch.export.export(layer, (x,))
    torch.testing.assert_close(exported.module()(x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_onnx_equals_in_onnxruntime(name: str, tmp_path: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layer, x = active(name).eval(), features()
    torch.onnx.export(layer, (x,), tmp_path / "layer.onnx", dynamo=True, input_names=["x"], verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx", providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), layer(x).detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_single_samples_pass_as_through_convolutions_and_wrong_input_is_refused(name: str, dims: int) -> None:
    layer, x = replaced(name, convolution(dims)).eval(), features(dims)
    torch.testing.assert_close(layer(x[0]), layer(x)[0], rtol=1e-4, atol=1e-5)
    for wrong in (x[:, 1:], x[:, None], x[0, 0]):
        with pytest.raises(ValueError, match=rf"does not fit convolution '{name}'.*dims={dims} and 8 channels"):
            layer(wrong)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", ["dcd", "drconv", "dynamic_conv", "sample_specific"])
def test_as_products_they_compute_the_same(name: str, geometry: tuple[Any, ...]) -> None:
    """The form that ONNX files get, in which a batch of any size runs."""
    for dims in (1, 2, 3):
        layer, x = replaced(name, convolution(dims, geometry)).double().eval(), features(dims).double()
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=0.3)
        wanted = layer(x)
        with kernels_as_products():
            torch.testing.assert_close(layer(x), wanted, rtol=1e-9, atol=1e-9)
            assert layer(x[:0]).shape == (0, *wanted.shape[1:])


@pytest.mark.parametrize("replicates", [False, True])
def test_products_pad_time_as_convolutions_do(replicates: bool) -> None:
    spec = ConvolutionSpec(4, 6, (3, 3, 1), (1, 2, 1), (1, 1, 0), (1, 1, 1), 2, replicates_time=replicates)
    x, weight = torch.randn(2, 4, 5, 6, 4).double(), torch.randn(2, 3, *spec.weight_shape).double()
    wanted = spec.convolve_each(x, weight)
    with kernels_as_products():
        torch.testing.assert_close(spec.convolve_each(x, weight), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcd", "drconv", "dynamic_conv", "sample_specific"])
def test_onnx_files_take_any_batch(name: str, tmp_path: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layer, x = active(name).eval(), features(batch=3)
    with kernels_as_products():
        shapes = ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
        program = torch.export.export(layer, (x[:2],), dynamic_shapes=shapes)
    torch.onnx.export(program, (x[:2],), tmp_path / "layer.onnx", dynamo=True, input_names=["x"], verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx", providers=["CPUExecutionProvider"])
    for given in (x, x[:1, :, :5]):
        (y,) = session.run(None, {"x": given.numpy()})
        torch.testing.assert_close(torch.from_numpy(y), layer(given).detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("bt", "linear_conv", "phc")])
def test_static_ones_merge_into_a_convolution(name: str) -> None:
    layer, x = active(name), features()
    assert isinstance(layer, StaticConvolution)
    merged = layer.to_convolution()
    assert type(merged) is nn.Conv2d
    torch.testing.assert_close(merged(x), layer(x))


def test_the_temperature_falls_and_is_saved() -> None:
    layer = replaced("dynamic_conv", convolution(), temperature=30.0, anneal=0.2)
    seen = []
    for progress in (0.0, 0.1, 0.2, 1.0):
        layer.set_progress(progress)
        seen.append(layer.state_dict()["temperature"].item())
    assert seen == pytest.approx([30.0, 15.5, 1.0, 1.0])


def test_the_numbers_of_bt_are_counted_as_in_its_formula() -> None:
    """blocks · (prod R + sum R I O) of the modes (2 x 3), (4 x 4) and the nine positions of the window."""
    layer = create_convolution("bt", IN, out_channels=OUT, dims=2, blocks=3, rank=2)
    assert sum(p.numel() for p in layer.parameters()) == 3 * (2**3 + 2 * (2 * 3 + 4 * 4 + 9))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dcdd", {}, "convolution 'dcdd' is unknown. Did you mean 'dcd'"),
        ("dcd", {"innr": 3}, "Did you mean 'inner'"),
        ("dcd", {"bins": 0}, "bins=0 of convolution 'dcd' is not possible: it is an integer from 1"),
        ("dynamic_conv", {"temperature": 0}, "temperature=0 of convolution 'dynamic_conv' is not possible"),
        ("drconv", {"regions": 0}, "regions=0 of convolution 'drconv'"),
        ("linear_conv", {"weight": -1}, "weight=-1 of convolution 'linear_conv'"),
        ("phc", {"n": 5}, "n=5 of convolution 'phc' must divide the channels, 8 of a group in, 12 out"),
        ("bt", {"rank": 0}, "rank=0 of convolution 'bt'"),
        ("ghost", {"cheap": 2}, "cheap=2 of convolution 'ghost'"),
        ("ghost", {"norm": "batch"}, "norm='batch' of convolution 'ghost' is not possible: it is True or False"),
        ("ghost", {"relu": 1}, "relu=1 of convolution 'ghost' is not possible: it is True or False"),
        ("linear_conv", {"weight": True}, "weight=True of convolution 'linear_conv'"),
        ("linear_conv", {"weight": float("inf")}, "weight=inf of convolution 'linear_conv'"),
        ("dynamic_conv", {"anneal": float("inf")}, "anneal=inf of convolution 'dynamic_conv'"),
        ("sample_specific", {"filters": 0}, "filters=0 of convolution 'sample_specific'"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convolution_from(convolution(), name, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": "4"}, "in_channels='4' of a convolution is not possible: integers from 1"),
        ({"kernel_size": 0}, r"kernel_size=\(0, 0\) of a convolution is not possible"),
        ({"stride": 0}, r"stride=\(0, 0\) of a convolution is not possible"),
        ({"padding": -1}, r"padding=\(-1, -1\) of a convolution is not possible: integers from 0"),
        ({"kernel_size": (3, 3, 3)}, r"\(3, 3, 3\) is no number for each of the 2 axes"),
        ({"groups": 3}, "groups=3 of a convolution must divide its channels, 4 in and 4 out"),
        ({"dims": 4}, "dims=4 is not possible"),
    ],
)
def test_wrong_geometry_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_convolution("dcd", **({"channels": 4, "dims": 2} | given))


@pytest.mark.parametrize("name", NAMES)
def test_is_named_in_the_documentation(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "blocks.md").read_text(encoding="utf-8")
    assert f"### `{name}`" in page or f"= `{name}`" in page


@pytest.mark.parametrize("name", NAMES)
def test_every_option_can_be_given(name: str) -> None:
    for option, value in convolution_options(name).items():
        if value is not None:
            replaced(name, convolution(), **{option: value})
