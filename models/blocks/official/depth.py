"""Selective depth attention of SDA-xNet, alone and as a whole stage."""

from collections.abc import Callable
from typing import Any

from torch import nn

from specvid.models.blocks.official.conversion import Conversion, State, implied_by_shapes, option, reads, rename
from specvid.models.stages import DepthStage, SelectiveDepth
from specvid.models.stages.stage import ResidualBlock


def _mixture(blocks: int) -> Callable[..., nn.Module]:
    """Builds the mixture for any dims."""

    def create(*, dims: int, channels: int, inner: int) -> nn.Module:
        return SelectiveDepth(channels, blocks=blocks, inner=inner, identity=False)

    return create


def _stage(blocks: int) -> Callable[..., nn.Module]:
    """Builds a stage of torchvision's bottlenecks, for images."""

    def create(
        *, dims: int, channels: int, width: int, groups: int, shortcut: bool, inner: int, stride: int
    ) -> nn.Module:
        from torchvision.models.resnet import Bottleneck

        if dims != 2:
            raise ValueError(f"dims={dims} is not possible for 'sda_stage': its bottlenecks are those of images.")
        out = 4 * width
        down = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if shortcut else None
        form = {"groups": groups, "base_width": 64 // groups}
        layers = [Bottleneck(channels, width, stride, down, **form)]
        layers += [Bottleneck(out, width, **form) for _ in range(1, blocks)]
        inside = [ResidualBlock(str(number), "relu", 3, out) for number in range(blocks)]
        mixture = SelectiveDepth(out, blocks=blocks, inner=inner, identity=False)
        return DepthStage(nn.Sequential(*layers), inside, mixture, name="sda")

    return create


def _mixture_names(blocks: int, prefix: str = "") -> dict[str, str]:
    names = {"fc.0": f"{prefix}reduce", "fc.1": f"{prefix}norm"}
    return names | {f"fcs.{number}": f"{prefix}expand.{number}" for number in range(blocks)}


def _count(state: State) -> int:
    return sum(key.startswith("fcs.") and key.endswith(".bias") for key in state)


@reads("sda")
def read_sda(state: State) -> Conversion:
    """Read the attention of SDA-xNet's BasicStage, which gives a map from the maps of all blocks, (B, n, C, ...).

    Args:
        state: ``fc`` and ``fcs`` of the stage.

    Returns:
        How it becomes `specvid.models.stages.SelectiveDepth`.
    """
    blocks = _count(state)
    inner, channels = state["fc.0.weight"].shape[:2]
    return Conversion(
        "sda",
        {"inner": inner},
        rename(state, _mixture_names(blocks)),
        channels=channels,
        constructor=dict.fromkeys(("inplanes", "planes", "blocks", "stride", "r", "L"), implied_by_shapes),
        create=_mixture(blocks),
    )


@reads("sda_stage")
def read_sda_stage(state: State) -> Conversion:
    """Read SDA-xNet's BasicStage of bottlenecks, whose weights do not determine its stride.

    Args:
        state: The stage's state dict.

    Returns:
        How it becomes a `specvid.models.stages.DepthStage` of torchvision's bottlenecks.
    """
    blocks = _count(state)
    first, grouped = state["layers.0.conv1.weight"], state["layers.0.conv2.weight"]
    options: dict[str, Any] = {
        "width": first.shape[0],
        "groups": grouped.shape[0] // grouped.shape[1],
        "shortcut": "layers.0.downsample.0.weight" in state,
        "inner": state["fc.0.weight"].shape[0],
    }
    layers = {f"layers.{number}": str(number) for number in range(blocks)}
    return Conversion(
        "sda_stage",
        options,
        rename(state, layers | _mixture_names(blocks, "sda.")),
        defaults={"stride": 1},
        channels=first.shape[1],
        constructor={"stride": option("stride")}
        | dict.fromkeys(("inplanes", "planes", "blocks", "r", "L"), implied_by_shapes),
        create=_stage(blocks),
    )
