"""``specvid bench model``: what blocks add to a training step or an embedding, and what frozen parts save."""

from dataclasses import dataclass
from typing import Literal

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least

HELP = """\
specvid bench model: what blocks add to a training step or an embedding, and what frozen parts save

  --model r3d_18                     backbone
  --blocks "snl@layer3.-1" "nl@..."  each is compared with the bare backbone; --blocks alone: none
  --frames 16 --size 112 --batch 2   the clips (--size 256 128: height and width)
  --steps 15                         timed rounds; the figures are medians
  --freeze backbone                  also with these parts frozen, as in training
  --checkpoint-activations           also with activation checkpointing
  --embed                            forward passes in eval mode instead, as it is and for inference
  --memory                           also the memory of a step, each network in a process of its own
  --channels-last                    also in this memory format (contiguous, where built so)
  --device cpu|cuda                  --precision fp32|tf32|bf16|fp16

Example:
  specvid bench model --model r3d_18 --blocks "snl@layer3.-1"
"""


@dataclass(frozen=True)
class ModelOptions:
    """Options of ``specvid bench model``."""

    model: str = "r3d_18"
    blocks: tuple[str, ...] = ("snl@layer3.-1",)
    """Each is compared with the bare backbone."""
    frames: int = 16
    size: tuple[int, ...] = (112,)
    """Height and width; one number is both."""
    batch: int = 2
    steps: int = 15
    """Timed rounds."""
    freeze: tuple[str, ...] = ()
    """Also with these parts frozen, as `specvid train action --freeze` has them."""
    checkpoint_activations: bool = False
    """Also with activation checkpointing, as `specvid train action --checkpoint-activations` has it."""
    embed: bool = False
    """Forward passes in eval mode instead of training steps."""
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    """Also with clips and the weights of 3D convolutions in this memory format."""
    memory: bool = False
    """Also the memory of a step, each network in a process of its own."""

    def __post_init__(self) -> None:
        require_at_least(self, frames=1, size=1, batch=1, steps=1)


def _measure(options: ModelOptions) -> str:
    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.gpu import device_line
    from specvid.tools.bench.model import as_text, bench_model

    settings = dict(vars(options))
    checkpoint = settings.pop("checkpoint_activations")
    rows = bench_model(**settings, checkpoint=checkpoint, status=status)
    return f"{device_line(options.device, options.precision)}\n\n{as_text(rows)}"


MODEL = bench_verb("model", HELP, ModelOptions, _measure)
