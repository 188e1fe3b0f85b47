"""What is exported of a model, and the graph of it, by `torch.export`, whose axes may vary."""

from __future__ import annotations

import copy
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from specvid.datasets.clips.transforms import Normalise
from specvid.models.blocks.affinities.dot import ProductAffinity
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.models.video_model import VideoModel
from specvid.pipelines.export.axes import BYTES, IMAGES, Axes, AxisError
from specvid.text import counted

Inputs: TypeAlias = tuple[Tensor, ...]
"""One of `specvid.pipelines.export.axes.INPUTS`, and perhaps the mask (B, T)."""


class Exportable(nn.Module):
    """One function from clips, and optionally their mask, to one vector a clip.

    Where a block would choose between its linear and its N x N form by the size of the clip, this one always takes the
    linear one: both are exact, and a graph has one form for all sizes.

    Args:
        model: of which it holds a copy in eval mode, without gradients.
        feature: ``logits`` or ``embedding``.
        preprocessing: it takes frames and normalises them.
        half: it computes in float16.
        images: it takes single images, without the axis of time.
        l2: its vectors are of unit length.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        model: VideoModel,
        feature: str,
        *,
        preprocessing: bool = False,
        half: bool = False,
        images: bool = False,
        l2: bool = False,
    ) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.feature, self.preprocessing, self.half_precision = feature, preprocessing, half
        self.images, self.l2 = images, l2
        normalise = Normalise(model.input.mean, model.input.std)
        for name, values in (("scale", normalise.scale), ("shift", normalise.shift)):
            self.register_buffer(name, torch.tensor(values)[:, None, None, None])
        for name, module in list(self.model.named_modules()):
            if type(module) is nn.BatchNorm1d:  # of a neck; blocks have a class of their own
                self.model.set_submodule(name, _Scaled(module))
        if half:
            self.model.half()
        for module in self.model.modules():
            if isinstance(module, (SymmetricAffinity, ProductAffinity)) and module.impl == "auto":
                module.impl = "linear"

    def forward(self, clip: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the vectors.

        Args:
            clip: (B, C, T, H, W), normalised; or uint8 frames (B, T, H, W, C); of images without T.
            mask: bool (B, T), True = real frame.

        Returns:
            Logits (B, classes) or embeddings (B, E).
        """
        if self.images:
            clip = clip[:, None] if self.preprocessing else clip[:, :, None]
        if self.preprocessing:
            clip = clip.permute(0, 4, 1, 2, 3).float() * self.scale + self.shift
        x = clip.half() if self.half_precision else clip
        vectors = (self.model(x, mask) if self.feature == "logits" else self.model.embed(x, mask)).float()
        return F.normalize(vectors, dim=1) if self.l2 else vectors


class _Scaled(nn.Module):
    """What an evaluated batch norm of vectors does, in operations that every exporter knows: PyTorch 2.6 does not."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm1d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None  # of a network that was trained
        scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", (0 if norm.bias is None else norm.bias) - norm.running_mean * scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


def choose_feature(model: VideoModel, wanted: str) -> str:
    """What a file gives.

    Args:
        model: the model.
        wanted: ``logits``, ``embedding``, or ``auto``: logits where there is a classifier.

    Returns:
        ``logits`` or ``embedding``.

    Raises:
        ValueError: logits of a model without a classifier.
    """
    if wanted == "auto":
        return "embedding" if model.num_classes is None else "logits"
    if wanted == "logits" and model.num_classes is None:
        raise ValueError("feature 'logits' needs a classifier: a trained recogniser's run, or --classes N.")
    return wanted


def draw_inputs(
    sizes: tuple[int, ...], *, mask: bool, device: str = "cpu", seed: int = 0, input: str = "clip"
) -> Inputs:
    """Random inputs.

    Args:
        sizes: (B, C, T, H, W).
        mask: whether there is a mask.
        device: where they are needed.
        seed: draws them.
        input: which of `INPUTS`.

    Returns:
        Clips or images of normally distributed numbers, or of evenly distributed bytes, and a mask that pads the last
        third of the first clip.
    """
    generator = torch.Generator().manual_seed(seed)
    if input not in BYTES:
        clip = torch.randn(sizes, generator=generator).to(device)
    else:
        batch, channels, *others = sizes
        clip = torch.randint(256, (batch, *others, channels), generator=generator, dtype=torch.uint8).to(device)
    if input in IMAGES:
        clip = clip.select(1 if input in BYTES else 2, 0)
    if not mask:
        return (clip,)
    real = torch.ones(sizes[0], sizes[2], dtype=torch.bool, device=device)
    real[0, sizes[2] - sizes[2] // 3 :] = False
    return clip, real


def require_fits(network: Exportable, inputs: Inputs, axes: Axes) -> None:
    """Run a network once at the size it is captured with: what it says itself, exporters hide behind their own traces.

    Args:
        network: what is captured.
        inputs: what it is captured with.
        axes: of them.

    Raises:
        ValueError: the network cannot take this size.
    """
    try:
        with torch.no_grad():
            network(*inputs)
    except RuntimeError as error:
        _, _, frames, height, width = axes.sizes
        own = network.model.input
        raise ValueError(
            f"{network.model.config['name']!r} cannot take clips of {counted(frames, 'frame')} of {height} x {width} "
            f"px ({first_line(error)}). Give other --frames, --height and --width; it is made for {own.frames} of "
            f"{' x '.join(map(str, own.crop))} px."
        ) from error


def capture(network: Exportable, axes: Axes, inputs: Inputs) -> ExportedProgram:
    """Capture the graph of a network.

    Args:
        network: what is captured.
        axes: which axes may vary.
        inputs: what it is captured with.

    Returns:
        The graph.

    Raises:
        AxisError: an axis cannot vary after all.
        ValueError: it cannot be captured even with all axes fixed.
    """
    clip = {axes.places[name]: Dim.AUTO for name in axes.dynamic}
    mask = {index: Dim.AUTO for name, index in (("batch", 0), ("time", 1)) if name in axes.dynamic}
    try:
        with torch.no_grad():
            program = torch.export.export(network, inputs, dynamic_shapes=(clip, mask)[: len(inputs)])
    except Exception as error:
        if not axes.dynamic:
            raise ValueError(f"torch.export cannot capture this model: {first_line(error)}") from error
        # which axis is to blame cannot be read off: try with fewer, the one that is missed least first
        raise AxisError(axes.dynamic[-1], f"torch.export cannot let it vary: {first_line(error)}") from error
    captured = captured_sizes(program)
    for name in axes.dynamic:
        if isinstance(captured[axes.places[name]], int):
            raise AxisError(name, "the network computes with this very number")
    return program


def captured_sizes(program: ExportedProgram) -> tuple[int | torch.SymInt, ...]:
    """Sizes of the first input of a graph.

    Args:
        program: the graph.

    Returns:
        A number for each axis, a symbol where it may vary.
    """
    (first, *_) = program.graph_signature.user_inputs
    (node,) = [node for node in program.graph.nodes if node.op == "placeholder" and node.name == first]
    return tuple(node.meta["val"].shape)


def first_line(error: BaseException) -> str:
    """What to print of an error.

    Args:
        error: any.

    Returns:
        The first line of its message that is not empty, else its type.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
