"""Settings for training without labels that are known to go together."""

from specvid.pipelines.engine.config import EngineConfig, NetConfig
from specvid.pipelines.engine.recipes import recipe
from specvid.pipelines.pretrain.config import PretrainClipsConfig, PretrainConfig, TwinsConfig


def recipe_for(model: str, weights: str) -> str:
    """The recipe to start from where none is named.

    Args:
        model: name of the backbone; empty for the default one.
        weights: to start from; they make no difference here.

    Returns:
        ``small`` for the tiny backbone, ``tracklets`` for OSNets, else ``twins``.
    """
    return "small" if model == "r3d_tiny" else "tracklets" if model.startswith("osnet") else "twins"


@recipe(PretrainConfig)
def twins() -> PretrainConfig:
    """The paper's loss and projector at a batch that one GPU holds; AdamW in the place of LARS, whose batch is 2048."""
    return PretrainConfig(
        loss=TwinsConfig(projector=(8192, 8192, 8192)),
        train=EngineConfig(
            epochs=200, batch_size=128, optimizer="adamw", lr=5e-4, weight_decay=1e-4, schedule="cosine", warmup=0.05
        ),
    )


@recipe(PretrainConfig)
def small() -> PretrainConfig:
    """The tiny backbone on a CPU, within the hour: a projector in proportion to its few dimensions."""
    return PretrainConfig(
        net=NetConfig(model="r3d_tiny"),
        loss=TwinsConfig(projector=(256, 256, 256)),
        train=EngineConfig(
            epochs=60,
            batch_size=64,
            optimizer="adamw",
            lr=2e-3,
            weight_decay=1e-4,
            schedule="cosine",
            warmup=0.1,
            workers=1,
        ),
    )


@recipe(PretrainConfig)
def tracklets() -> PretrainConfig:
    """OSNet on tracklets: two clips of one walk are the twins; more of the crop is kept, for people fill it."""
    return PretrainConfig(
        clips=PretrainClipsConfig(dataset="mars", frames=2, height=128, width=64, min_area=0.5),
        net=NetConfig(model="osnet_x0_25"),
        loss=TwinsConfig(projector=(512, 512, 512)),
        train=EngineConfig(
            epochs=60, batch_size=64, optimizer="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine", warmup=0.1
        ),
    )
