"""What can be set about computing, training and scoring, whatever the task. A task extends these classes by its own.

Imports nothing heavy: the command line reads it to parse its options.
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from specvid.config import require_at_least, require_folder


@dataclass(frozen=True)
class ComputeConfig:
    """Where and how a network is computed; what it computes does not depend on it (but for rounding)."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto: a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Autocast; weights stay in fp32. auto: bf16 on GPUs of compute capability 8.0 or later, else fp32."""
    tf32: bool = True
    """On a GPU, multiply fp32 in TF32, in convolutions and blocks alike; --no-tf32: in fp32, several times slower."""
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

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast; weights stay in fp32. auto: bf16 on GPUs from compute capability 8.0, else fp32, and saved so."""
    epochs: int = 30
    """Passes over the training list."""
    max_steps: int = 0
    """End the training after so many optimiser steps, as if it were cut there; 0 = after all epochs."""
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
    freeze: tuple[str, ...] = ()
    """Parts that stand still: backbone, head, blocks, or places (layer1, res2); their norms stay in evaluation."""
    lr_scale: tuple[str, ...] = ()
    """Factors on the learning rate of parts, PLACE=FACTOR each."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each stage of the backbone to the one before it, counted from the head."""
    head_lr: float = 1.0
    """Factor on the learning rate of the head: a new classifier starts from nothing, pretrained weights do not."""
    block_lr: float = 1.0
    """Factor on the learning rate of inserted blocks."""
    gate_lr: float | None = None
    """Factor on the learning rate of their gates; that of the blocks if not given."""
    block_warmup: float = 0.0
    """Share of all steps at the start in which the backbone stands still, and blocks and head alone are trained."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 = no clipping."""
    compile: bool = False
    """Compile the model with torch.compile."""
    checkpoint_activations: bool = False
    """Compute what is inside the units of the backbone again in the backward pass: less memory, a longer step."""
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
    early_stop: int = 0
    """End the training when the validation part has got no better for so many scored epochs; 0 = never."""
    eval_every: int = 1
    """Score the validation part, where there is one, every so many epochs."""
    tensorboard: bool = True
    """Write TensorBoard event files into the run folder."""
    wandb: bool = False
    """Log to Weights & Biases (pip install wandb)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, epochs=1, accumulate=1, eval_every=1, save_every=0, max_steps=0, early_stop=0, seed=0)
        for name in ("lr", "gamma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name)} must be greater than 0.")
        for name in ("weight_decay", "clip_norm"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative.")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay {self.layer_decay} must lie in (0, 1]; 0.75 is usual, 1 is none.")
        for name in ("head_lr", "block_lr", "gate_lr"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} {value} must be greater than 0.")
        for name in ("momentum", "ema", "warmup", "block_warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must lie in [0, 1).")
        if self.compile and self.checkpoint_activations:
            raise ValueError(
                "compile and checkpoint_activations exclude each other: compiled code chooses by itself what it "
                "computes again. Leave out one of them."
            )
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} must be a multiple of accumulate {self.accumulate}.")
        if self.schedule == "step" and not self.milestones:
            raise ValueError(
                "schedule 'step' needs milestones: the epochs after which the rate falls, e.g. --milestones 20 40."
            )
        if list(self.milestones) != sorted(set(self.milestones) & set(range(1, self.epochs))):
            raise ValueError(f"milestones {self.milestones} must rise, and lie inside the {self.epochs} epochs.")


@dataclass(frozen=True)
class ClipsConfig:
    """Which clips are read, and how. A task narrows ``dataset`` and adds its own settings."""

    dataset: str = ""
    """Layout of the data set."""
    data: str = ""
    """Its folder."""
    split: int = 1
    """Split: trained on its train part, scored on its test part."""
    val_fraction: float = 0.0
    """Share of the train part that is held out to select best/; 0 = none."""
    limit: int = 0
    """Use only so many clips (re-ID: identities) of each part, to try things out; 0 = all."""
    flip: float = 0.5
    """Probability of mirroring a training clip."""
    jitter: float = 0.0
    """Strength of colour jitter, 0 to 1."""
    erase: float = 0.0
    """Probability of random erasing: the same rectangle in all frames of a clip."""

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"val_fraction {self.val_fraction} must lie in [0, 1).")
        require_at_least(self, limit=0)


@dataclass(frozen=True)
class NetConfig:
    """The network."""

    model: str = "r3d_18"
    """Backbone; `specvid models` lists them."""
    blocks: str = ""
    """Blocks to insert: block[(option=value, ...)]@place[, ...]."""
    conv: str = ""
    """Convolutions to replace, in the same grammar: dcd@layer3; they start from the ones they replace."""
    weights: str = ""
    """Weights to start from: a file, or published ones (DEFAULT, kinetics400, imagenet)."""
    dropout: float = 0.0
    """Before the classifier."""


@dataclass(frozen=True)
class TrainingConfig:
    """One training of any task: the folder of its run, its clips, its network, its optimisation."""

    task: ClassVar[str] = ""

    recipe: str = ""
    """Recipe that the settings started from."""
    name: str = ""
    """Folder of the run inside `runs`; made from the settings if not given."""
    runs: str = "runs"
    """Where runs lie."""
    resume: Literal["never", "auto"] = "never"
    """auto: continue the run of this name if it was started, else start it."""
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    net: NetConfig = field(default_factory=NetConfig)
    train: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        require_folder("runs", self.runs)
        if self.name and not re.fullmatch(r"(?!\.+$)[\w.+=@-]+", self.name):
            raise ValueError(
                f"name {self.name!r} must be a plain folder name (letters, digits, . _ + = @ -; not only dots)."
            )

    @property
    def default_name(self) -> str:
        """A name made of what matters: data set, split, model, blocks, seed."""
        inserted = ", ".join(filter(None, (self.net.blocks, self.net.conv)))
        blocks, model = (re.sub(r"[^\w.]+", "-", text).strip("-") for text in (inserted, self.net.model))
        return "-".join((self.clips.dataset, f"s{self.clips.split}", model, blocks or "bare", f"seed{self.train.seed}"))


@dataclass(frozen=True)
class EvaluationConfig:
    """What is scored of a trained run, and on what data."""

    checkpoint: Literal["last", "best"] = "last"
    """Which epoch."""
    data: str = ""
    """Folder of the data set, if it moved."""
    force: bool = False
    """Also score on what was trained on; the figure is marked."""
    trust: bool = False
    """Build the network even where the run names code of somebody else, which then runs."""


MAY_CHANGE_ON_RESUME = frozenset(
    {"workers", "device", "devices", "nodes", "save_every", "max_steps", "tensorboard", "wandb"}
)
"""Settings that a continued run may change: they alter how and how far it is computed, not what."""

ABOUT_THE_RUN = frozenset({"specvid", "task", "recipe", "name", "runs", "resume"})
"""Entries of config.json that say where a run comes from and where it lies, and change nothing in it."""
