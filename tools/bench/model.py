"""What blocks add to a training step or an embedding, what frozen parts and folding save: the same backbone, in turn.

One after the other, so that whatever slows the machine down slows all alike; the figure is the median of the ratios
within a round, not the ratio of two runs.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.large_pages import VARIABLE
from specvid.models import create_model
from specvid.models.checkpointing import checkpoint_activations
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.block_use import strengths
from specvid.pipelines.engine.log import silent
from specvid.pipelines.engine.parts import freeze as freeze_parts
from specvid.pipelines.engine.parts import train_mode
from specvid.text import to_text
from specvid.tools.bench.gpu import autocast, check_device, computing_in, gpu_seconds
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak
from specvid.tools.timing import interleaved, median, ratios

LAST, CONTIGUOUS = "channels last", "contiguous"

# glibc gives back at once what is freed: else the peak of a process depends on how its memory happened to be cut up
_EXACT = {"MALLOC_MMAP_THRESHOLD_": str(2**18), "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Form:
    """What is timed of a backbone.

    Attributes:
        blocks: what was inserted; empty for the bare backbone.
        frozen: the parts that stood still.
        folded: it was `VideoModel.for_inference`.
        checkpointed: activations inside its units were computed again.
        layout: ``channels last`` or ``contiguous``, the memory format of clips and of the weights of convolutions;
            empty: as the network was built.
    """

    blocks: str = ""
    frozen: tuple[str, ...] = ()
    folded: bool = False
    checkpointed: bool = False
    layout: str = ""

    def __str__(self) -> str:
        words = [self.blocks or "(bare)", f"frozen: {' '.join(self.frozen)}" if self.frozen else ""]
        words += ["folded" if self.folded else "", "checkpointed" if self.checkpointed else ""]
        return ", ".join(filter(None, [*words, self.layout]))


@dataclass(frozen=True)
class StepTime:
    """Training steps of a backbone with some blocks, or its forward passes.

    Attributes:
        form: which.
        parameters: of the model, blocks and head included.
        seconds: median of a step.
        clips: of a step, by its seconds.
        ratio: to the bare backbone, median over the rounds.
        quartiles: lower and upper quartile of this ratio.
        mebibytes: the most that a step takes, weights, gradients and state of the optimizer included; None where it
            was not measured.
    """

    form: Form
    parameters: int
    seconds: float
    clips: float
    ratio: float
    quartiles: tuple[float, float]
    mebibytes: float | None = None


@dataclass(frozen=True)
class _Case:
    """A network, and what is done with it."""

    model: str
    form: Form
    num_classes: int
    clips: tuple[int, ...]
    embed: bool
    device: str
    precision: str

    def network(self) -> VideoModel:
        torch.manual_seed(0)
        network = create_model(self.model, blocks=self.form.blocks, num_classes=self.num_classes)
        network = network.to(self.device).train(not self.embed)
        if self.form.frozen:
            freeze_parts(network, self.form.frozen)
            train_mode(network)
        if self.form.checkpointed:
            checkpoint_activations(network)
        if self.embed:
            for strength in strengths(network):
                nn.init.constant_(strength, 0.5)
        network = network.for_inference() if self.form.folded else network
        if self.form.layout:
            _lay_out(network, self.form.layout)
        return network

    def step(self, network: VideoModel) -> Callable[[], None]:
        x = torch.randn(self.clips, device=self.device)
        x = x.to(memory_format=torch.channels_last_3d) if self.form.layout == LAST else x
        return (_embedding if self.embed else _training_step)(network, x, self.precision)


def bench_model(
    model: str = "r3d_18",
    blocks: Sequence[str] = ("snl@layer3.-1",),
    *,
    frames: int = 16,
    size: int | tuple[int, ...] = 112,
    batch: int = 2,
    steps: int = 15,
    num_classes: int = 101,
    freeze: Sequence[str] = (),
    checkpoint: bool = False,
    embed: bool = False,
    device: str = "cpu",
    precision: str = "fp32",
    channels_last: bool = False,
    cpu: bool = False,
    memory: bool = False,
    status: Callable[[str], None] = silent,
) -> list[StepTime]:
    """Time training steps (forward, cross-entropy, backward, SGD) of a backbone or its embedding, bare and with blocks.

    Args:
        model: the backbone.
        blocks: each is compared with the bare backbone.
        frames: of a clip.
        size: height and width of a frame, px; one number is both.
        batch: clips at a time.
        steps: timed rounds; each runs one step of every model. Two rounds before them warm up.
        num_classes: classes of the head.
        freeze: parts of the network (see `specvid.pipelines.engine.parts`): each network is also trained with these
            standing still.
        checkpoint: each network is also trained with activation checkpointing.
        embed: time `VideoModel.embed` in eval mode instead, of each network as it is and for inference. The gates
            of blocks stand at 0.5 then: at 0 nothing would be left of a block.
        device: ``cpu`` or ``cuda``.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.
        channels_last: each network is also timed with clips and the weights of its convolutions in this memory format;
            one that is built so (image networks, `r3d_tiny`), with contiguous ones.
        cpu: CPU time instead of that of the clock.
        memory: measure the memory of a step too, each network in a process of its own.
        status: called with a line for each round.

    Returns:
        The bare backbone, then a row for each of ``blocks``; then these again in the other layout, checkpointed, with
        what ``freeze`` names frozen, or folded.

    Raises:
        ValueError: a device or precision that is not here, another size, or nothing is left to train.
    """
    check_device(device, precision)
    sides = (size,) if isinstance(size, int) else size
    if not (1 <= len(sides) <= 2 and min(sides) > 0):
        raise ValueError(f"size {' '.join(map(str, sides))} is no frame: give one number, or height and width, in px.")
    for name, given in (("freeze", bool(freeze)), ("checkpoint_activations", checkpoint)):
        if given and embed:
            raise ValueError(f"{name} is for training steps: leave it out of --embed, or leave out --embed.")
    clips = (batch, 3, frames, sides[0], sides[-1])
    layouts = ("", _other_layout(model)) if channels_last else ("",)
    forms = [
        Form(spec, parts, folded, again, layout)
        for parts, folded in (((), False), (tuple(freeze), embed))
        for again in ((False, True) if checkpoint else (False,))
        for layout in layouts
        for spec in ("", *blocks)
    ]
    cases = {str(form): _Case(model, form, num_classes, clips, embed, device, precision) for form in forms}
    networks = {name: case.network() for name, case in cases.items()}
    runs = {name: case.step(networks[name]) for name, case in cases.items()}

    def progress(number: int, seconds: dict[str, float]) -> None:
        when = f"round {number} of {steps}" if number > 0 else "warm-up"
        status(f"{when}: " + ", ".join(f"{name} {seconds[name]:.3f} s" for name in cases))

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
    for name, case in cases.items():
        of_rounds = ratios(seconds, name, str(forms[0]))
        low, _, high = statistics.quantiles(of_rounds, n=4) if len(of_rounds) > 1 else of_rounds * 3
        parameters = sum(parameter.numel() for parameter in networks[name].parameters())
        step, ratio = median(seconds[name]), statistics.median(of_rounds)
        peak = _in_a_process(case) if memory else None
        times.append(StepTime(case.form, parameters, step, batch / step, ratio, (low, high), peak))
    return times


def as_text(rows: Sequence[StepTime]) -> str:
    """A table: what blocks add is the median of the rounds, with the quartiles.

    Args:
        rows: from ``bench_model``.
    """
    cells = [["blocks", "parameters", "s / step", "clips / s", "added", "quartiles", "MiB"]]
    for row in rows:
        added, low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (row.ratio, *row.quartiles))
        cells.append(
            [
                str(row.form),
                f"{row.parameters:,}",
                f"{row.seconds:.3g}",
                f"{row.clips:.1f}",
                *([added, f"{low} to {high}"] if row.form != Form() else ["", ""]),
                f"{row.mebibytes:,.0f}" if row.mebibytes is not None else "",
            ]
        )
    if not any(row[-1] for row in cells[1:]):
        cells = [row[:-1] for row in cells]
    return to_text(cells, align="<>", rule=False)


def _other_layout(model: str) -> str:
    """The one in which a network is not built."""
    weights = [module.weight for module in create_model(model).modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
    return LAST if all(weight.is_contiguous() for weight in weights) else CONTIGUOUS


def _lay_out(network: nn.Module, layout: str) -> None:
    """The weights of convolutions in a memory format."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            last = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.to(memory_format=last if layout == LAST else torch.contiguous_format)


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


def _in_a_process(case: _Case) -> float:
    """The memory of a step in a fresh process, MiB."""
    before = dict(os.environ)
    os.environ.pop(VARIABLE, None)
    os.environ.update(_EXACT)
    try:
        with get_context("spawn").Pool(1) as pool:
            return pool.apply(_measure, (case, torch.get_num_threads()))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _measure(case: _Case, threads: int) -> float:
    """What two steps add to the peak of this process, or of its GPU, MiB; the second has the optimizer's state."""
    torch.set_num_threads(threads)
    small = nn.Conv3d(3, 4, 3).to(case.device)
    small(torch.randn(1, 3, 4, 8, 8, device=case.device)).sum().backward()  # libraries and threads start
    before = restart_peak()
    with computing_in(case.precision):
        step = case.step(case.network())
        step()
        step()
    if case.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_mebibytes() - before


def _embedding(network: VideoModel, x: Tensor, precision: str) -> Callable[[], None]:
    """A function that embeds the clips."""

    def step() -> None:
        with torch.inference_mode(), autocast(x.device.type, precision):
            network.embed(x)

    return step
