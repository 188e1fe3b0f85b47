"""r3d_tiny and its receptive field, against the textbook recursion over its convolutions."""

import pytest
import torch

from specvid.models.backbones.receptive_field import receptive_field
from specvid.models.backbones.registry import build_backbone


def by_recursion(depths: tuple[int, ...]) -> tuple[int, int, int]:
    """r += (k - 1) * jump; jump *= stride, over the 3x3x3 convolutions of the main path (1x1x1 ones add nothing)."""
    strides = [(1, 2, 2)]
    for number, depth in enumerate(depths):
        strides += [(1, 1, 1) if number == 0 else (2, 2, 2)] + [(1, 1, 1)] * (depth - 1)
    field, jump = [1, 1, 1], [1, 1, 1]
    for stride in strides:
        for axis in range(3):
            field[axis] += 2 * jump[axis]
            jump[axis] *= stride[axis]
    return field[0], field[1], field[2]


@pytest.mark.parametrize("depths", [(1,), (1, 2), (2, 1), (1, 1, 1)])
def test_gradient_finds_the_field_of_the_recursion(depths: tuple[int, ...]) -> None:
    assert receptive_field(build_backbone("r3d_tiny", depths=depths, width=2)) == by_recursion(depths)


def test_default_is_local() -> None:
    assert receptive_field(build_backbone("r3d_tiny")) == (11, 19, 19)


def test_does_not_touch_the_network() -> None:
    backbone = build_backbone("r3d_tiny", width=2)
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    receptive_field(backbone)
    assert backbone.module.training
    assert all(torch.equal(before[name], value) for name, value in backbone.module.state_dict().items())


def test_too_small_a_probe_says_so() -> None:
    with pytest.raises(ValueError, match=r"too small: .* border in height"):
        receptive_field(build_backbone("r3d_tiny"), probe=(33, 16, 33))


def test_image_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="3D backbone"):
        receptive_field(build_backbone("mobilenet_v2"))


def test_shapes_and_size_of_r3d_tiny() -> None:
    backbone = build_backbone("r3d_tiny")
    frames, (height, width) = backbone.input.frames, backbone.input.crop
    assert backbone.module(torch.zeros(2, 3, frames, height, width)).shape == (2, backbone.feature_dim, 4, 10, 10)
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) == 74_864


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"depths": ()}, "depths is"),
        ({"depths": (1, 0)}, "depths is"),
        ({"depth": 2}, "depths"),
    ],
)
def test_wrong_options_are_named(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone("r3d_tiny", **option)
