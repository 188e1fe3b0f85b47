"""What can be set about computing, and about a training, whatever its task.

Imports nothing heavy: the command line reads it to parse its options.
"""

from dataclasses import dataclass
from typing import Literal

from specvid.config import require_at_least


@dataclass(frozen=True)
class ComputeConfig:
    """Where and how a network is computed; what it computes does not depend on it (but for rounding)."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: a GPU where there is one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast; weights stay in fp32."""
    batch_size: int = 16
    """Clips at a time."""
    workers: int = 2
    """Decoding processes per device; 0 decodes in the main process."""

    def __post_init__(self) -> None:
        require_at_least(self, batch_size=1, workers=0)


@dataclass(frozen=True)
class DistributedConfig(ComputeConfig):
    """Computing in several processes, which Lightning Fabric starts."""

    devices: int = 1
    """Processes on this machine, one device each; under torchrun its own numbers count."""
    nodes: int = 1
    """Machines."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, devices=1, nodes=1)


@dataclass(frozen=True)
class EngineConfig(DistributedConfig):
    """One training: its optimisation, what it is computed on, and its logging."""

    epochs: int = 30
    """Passes over the training list."""
    batch_size: int = 16
    """Clips per optimiser step, over all devices and accumulated parts together."""
    accumulate: int = 1
    """Parts in which a batch is computed: saves memory, changes nothing but batch-norm statistics."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """SGD has Nesterov momentum."""
    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.05
    """Not applied to biases, norms and block gates."""
    momentum: float = 0.9
    """Momentum of SGD."""
    schedule: Literal["constant", "step", "cosine", "onecycle"] = "cosine"
    """Shape of the learning rate, set anew at every step."""
    warmup: float = 0.0
    """Share of all steps in which the rate rises linearly, before the schedule; one-cycle has its own."""
    milestones: tuple[int, ...] = ()
    """Epochs after which the step schedule multiplies the rate by gamma."""
    gamma: float = 0.1
    """Factor of the step schedule."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 = no clipping."""
    compile: bool = False
    """Compile the model with torch.compile."""
    ema: float = 0.0
    """Decay of the moving average of the weights that is scored and saved; 0 = none."""
    sync_bn: bool = False
    """Batch-norm statistics over all devices."""
    seed: int = 0
    """Seeds weights, order, augmentation, dropout."""
    deterministic: bool = False
    """Deterministic GPU kernels (slower). The CPU is deterministic anyway."""
    save_every: int = 0
    """Also save last/ every so many steps; 0 = at the end of each epoch only."""
    eval_every: int = 1
    """Score the validation part, where there is one, every so many epochs."""
    tensorboard: bool = True
    """Write TensorBoard event files into the run folder."""
    wandb: bool = False
    """Log to Weights & Biases (pip install wandb)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, epochs=1, accumulate=1, eval_every=1, save_every=0, seed=0)
        for name in ("lr", "gamma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} must be greater than 0.")
        for name in ("weight_decay", "clip_norm"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative.")
        for name in ("momentum", "ema", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must lie in [0, 1).")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} must be a multiple of accumulate {self.accumulate}.")
        if self.schedule == "step" and not self.milestones:
            raise ValueError(
                "schedule 'step' needs milestones: the epochs after which the rate falls, e.g. --milestones 20 40."
            )
        if list(self.milestones) != sorted(set(self.milestones) & set(range(1, self.epochs))):
            raise ValueError(f"milestones {self.milestones} must rise, and lie inside the {self.epochs} epochs.")


MAY_CHANGE_ON_RESUME = frozenset({"workers", "device", "devices", "nodes", "save_every", "tensorboard", "wandb"})
"""Settings that a continued run may change: they alter how it is computed, not what."""
