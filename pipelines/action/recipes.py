"""Settings for action recognition that are known to go together."""

from dataclasses import replace

from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.engine.config import EngineConfig, NetConfig
from specvid.pipelines.engine.recipes import recipe


def recipe_for(model: str, weights: str) -> str:
    """The recipe to start from where none is named.

    Args:
        model: name of the backbone; empty for the default one.
        weights: to start from; empty for none.

    Returns:
        ``finetune`` from given weights, or those that the name brings along (``hf:FOLDER``); ``small`` for the tiny
        backbone; else ``scratch``.
    """
    return (
        "finetune" if weights or model.startswith(("hf:", "clip:")) else "small" if model == "r3d_tiny" else "scratch"
    )


@recipe(ActionConfig)
def small() -> ActionConfig:
    """The tiny backbone on synthetic clips, in some minutes on a CPU (docs/synthetic.md); real clips want more epochs.

    Whole pictures: a crop could cut away the one thing that decides the class.
    """
    return ActionConfig(
        net=NetConfig(model="r3d_tiny"),
        train=EngineConfig(
            epochs=10, batch_size=16, optimizer="adamw", lr=2e-2, weight_decay=0.05, schedule="onecycle", workers=1
        ),
    )


@recipe(ActionConfig)
def scratch() -> ActionConfig:
    """A 3D ResNet without pretraining: strong augmentation, SGD, long."""
    return ActionConfig(
        label_smoothing=0.1,
        clips=ActionClipsConfig(crop="multiscale", jitter=0.2),
        net=NetConfig(dropout=0.5),
        train=EngineConfig(
            epochs=120,
            batch_size=32,
            optimizer="sgd",
            lr=0.02,
            weight_decay=1e-3,
            warmup=0.05,
            schedule="cosine",
            clip_norm=10,
        ),
    )


@recipe(ActionConfig, from_weights=True)
def probe() -> ActionConfig:
    """A classifier on a frozen network: what published weights know already, in a fraction of the time."""
    return ActionConfig(
        train=EngineConfig(
            epochs=20,
            batch_size=32,
            optimizer="adamw",
            lr=1e-3,
            weight_decay=0.01,
            schedule="cosine",
            freeze=("backbone", "blocks"),
        )
    )


@recipe(ActionConfig, from_weights=True)
def blocks() -> ActionConfig:
    """Blocks and classifier on a frozen network: what the insertion of blocks alone brings."""
    alone = probe()
    return replace(alone, train=replace(alone.train, warmup=0.05, clip_norm=10, freeze=("backbone",)))


@recipe(ActionConfig, from_weights=True)
def finetune() -> ActionConfig:
    """From published or own weights: a low rate for these, ten times as high for the new classifier and for gates of
    blocks, which start at 0 (docs/results.md, Fewer frames); few epochs.
    """
    return ActionConfig(
        clips=ActionClipsConfig(crop="multiscale"),
        net=NetConfig(dropout=0.5),
        train=EngineConfig(
            epochs=30,
            batch_size=32,
            optimizer="adamw",
            lr=2e-4,
            head_lr=10,
            gate_lr=10,
            weight_decay=0.05,
            warmup=0.05,
            schedule="cosine",
            clip_norm=10,
        ),
    )
