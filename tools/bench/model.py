"""What blocks add to a training step or an embedding, what frozen parts and folding save: the same backbone, in turn.

One after the other, so that whatever slows the machine down slows all alike; the figure is the median of the ratios
within a round, not the ratio of two runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models import create_model
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.block_use import strengths
from specvid.pipelines.engine.log import silent
from specvid.pipelines.engine.parts import freeze as freeze_parts
from specvid.pipelines.engine.parts import train_mode
from specvid.text import to_text
from specvid.tools.bench.gpu import autocast, check_device, computing_in, gpu_seconds
from specvid.tools.bench.timing import interleaved, median, ratios


@dataclass(frozen=True)
class StepTime:
    """Training steps of a backbone with some blocks, or its forward passes.

    Attributes:
        blocks: what was inserted; empty for the bare backbone.
        frozen: the parts that stood still.
        folded: it was `VideoModel.for_inference`.
        parameters: of the model, blocks and head included.
        seconds: median of a step.
        clips: of a step, by its seconds.
        ratio: to the bare backbone, median over the rounds.
        quartiles: lower and upper quartile of this ratio.
    """

    blocks: str
    parameters: int
    seconds: float
    clips: float
    ratio: float
    quartiles: tuple[float, float]
    frozen: tuple[str, ...] = ()
    folded: bool = False


def bench_model(
    model: str = "r3d_18",
    blocks: Sequence[str] = ("snl@layer3.-1",),
    *,
    frames: int = 16,
    size: int = 112,
    batch: int = 2,
    steps: int = 15,
    num_classes: int = 101,
    freeze: Sequence[str] = (),
    embed: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    channels_last: bool = False,
    cpu: bool = False,
    status: Callable[[str], None] = silent,
) -> list[StepTime]:
    """Time training steps (forward, cross-entropy, backward, SGD) of a backbone or its embedding, bare and with blocks.

    Args:
        model: the backbone.
        blocks: each is compared with the bare backbone.
        frames: of a clip.
        size: height and width of a frame, px.
        batch: clips at a time.
        steps: timed rounds; each runs one step of every model. Two rounds before them warm up.
        num_classes: classes of the head.
        freeze: parts of the network (see `specvid.pipelines.engine.parts`): each network is also trained with these
            standing still.
        embed: time `VideoModel.embed` in eval mode instead, of each network as it is and for inference. The gates
            of blocks stand at 0.5 then: at 0 nothing would be left of a block.
        device: ``cpu`` or ``cuda``.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.
        channels_last: memory format of clips and weights.
        cpu: CPU time instead of that of the clock.
        status: called with a line for each round.

    Returns:
        The bare backbone, then a row for each of ``blocks``; then these again, with what ``freeze`` names frozen, or
        folded.

    Raises:
        ValueError: a device or precision that is not here, or nothing is left to train.
    """
    check_device(device, precision)
    if freeze and embed:
        raise ValueError("freeze is for training steps: leave it out of --embed, or leave out --embed.")
    rows = [(spec, parts, folded) for parts, folded in (((), False), (tuple(freeze), embed)) for spec in ("", *blocks)]
    cases = {_label(*row): row for row in rows}
    networks = {}
    for label, (spec, parts, folded) in cases.items():
        torch.manual_seed(0)
        network = create_model(model, blocks=spec, num_classes=num_classes).to(device).train(not embed)
        if parts:
            freeze_parts(network, parts)
            train_mode(network)
        if embed:
            for strength in strengths(network):
                nn.init.constant_(strength, 0.5)
        networks[label] = network.for_inference() if folded else network
    x = torch.randn(batch, 3, frames, size, size, device=device)
    if channels_last:
        x = x.to(memory_format=torch.channels_last_3d)
        for network in networks.values():
            _to_channels_last(network)
    make = _embedding if embed else _training_step
    runs = {label: make(network, x, precision) for label, network in networks.items()}

    def progress(number: int, seconds: dict[str, float]) -> None:
        status(f"round {number} of {steps}: " + ", ".join(f"{seconds[label]:.3f} s" for label in cases))

    fast = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True  # as in training
    with computing_in(precision):
        seconds = interleaved(
            runs,
            rounds=steps,
            warm_up=2 if device == "cpu" else 5,
            cpu=cpu,
            clock=gpu_seconds() if device == "cuda" else None,
            on_round=progress,
        )
    torch.backends.cudnn.benchmark = fast
    times = []
    for label, network in networks.items():
        of_rounds = ratios(seconds, label, _label("", (), False))
        low, _, high = statistics.quantiles(of_rounds, n=4) if len(of_rounds) > 1 else of_rounds * 3
        parameters, step = sum(parameter.numel() for parameter in network.parameters()), median(seconds[label])
        ratio, (spec, parts, folded) = statistics.median(of_rounds), cases[label]
        times.append(StepTime(spec, parameters, step, batch / step, ratio, (low, high), parts, folded))
    return times


def as_text(rows: Sequence[StepTime]) -> str:
    """A table: what blocks add is the median of the rounds, with the quartiles.

    Args:
        rows: from ``bench_model``.
    """
    cells = [["blocks", "parameters", "s / step", "clips / s", "added", "quartiles"]]
    for row in rows:
        added, low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (row.ratio, *row.quartiles))
        line = [
            _label(row.blocks, row.frozen, row.folded),
            f"{row.parameters:,}",
            f"{row.seconds:.3g}",
            f"{row.clips:.1f}",
        ]
        cells.append([*line, added, f"{low} to {high}"] if row.blocks or row.frozen or row.folded else [*line, "", ""])
    return to_text(cells, align="<>", rule=False)


def _label(blocks: str, frozen: tuple[str, ...], folded: bool) -> str:
    return (blocks or "(bare)") + (f", frozen: {' '.join(frozen)}" if frozen else "") + (", folded" if folded else "")


def _to_channels_last(network: nn.Module) -> None:
    """The weights of 3D convolutions in that memory format."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)


def _training_step(network: VideoModel, x: Tensor, precision: str) -> Callable[[], None]:
    """A function that runs one training step."""
    assert network.num_classes is not None
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9)
    labels = torch.randint(network.num_classes, (len(x),), device=x.device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(x.device.type, precision):
            loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()

    return step


def _embedding(network: VideoModel, x: Tensor, precision: str) -> Callable[[], None]:
    """A function that embeds the clips."""

    def step() -> None:
        with torch.inference_mode(), autocast(x.device.type, precision):
            network.embed(x)

    return step
