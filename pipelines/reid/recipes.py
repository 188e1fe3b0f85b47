"""Settings for person re-identification that are known to go together."""

from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.recipes import recipe
from specvid.pipelines.reid.config import ReidClipsConfig, ReidConfig, ReidLossConfig, ReidNetConfig


def recipe_for(model: str, weights: str) -> str:
    """The recipe to start from where none is named.

    Args:
        model: name of the backbone; empty for the default one.
        weights: to start from; they make no difference here.

    Returns:
        ``tiny`` for the tiny backbone, ``osnet`` for OSNets, ``mobile`` for the light ones, else ``baseline``.
    """
    if model.startswith("osnet"):
        return "osnet"
    light = ("mobilenet_v2", "resnet18", "efficientnet_b0")
    return "tiny" if model == "r3d_tiny" else "mobile" if model in light else "baseline"


@recipe(ReidConfig, from_weights=True)
def baseline() -> ReidConfig:
    """The strong baseline on clips (Luo et al., CVPRW 2019): last stride 1, BNNeck, Adam, warm-up, two steps."""
    return ReidConfig(
        clips=ReidClipsConfig(identities=8, tracklets=4, frames=8),
        net=ReidNetConfig(model="resnet50", last_stride=1, weights="imagenet"),
        train=EngineConfig(
            epochs=120,
            batch_size=32,
            optimizer="adamw",
            lr=3.5e-4,
            weight_decay=5e-4,
            schedule="step",
            warmup=0.08,
            milestones=(40, 70),
        ),
    )


@recipe(ReidConfig, from_weights=True)
def mobile() -> ReidConfig:
    """A light image network, on a CPU within the hour: two frames a clip, for those of one walk look alike.

    Add ``last_stride=1`` where the backbone has it (docs/results.md).
    """
    return ReidConfig(
        clips=ReidClipsConfig(identities=8, tracklets=4, frames=2, height=256, width=128),
        net=ReidNetConfig(model="mobilenet_v2"),
        train=EngineConfig(
            epochs=20, batch_size=32, optimizer="adamw", lr=1e-3, weight_decay=5e-4, schedule="cosine", warmup=0.1
        ),
    )


@recipe(ReidConfig, from_weights=True)
def osnet() -> ReidConfig:
    """OSNet fine-tuned from weights of torchreid: four frames a clip, the rate and batch of AP3D and STE-NVAN.

    Few epochs, for the features are those of people already; blocks learn ten times as fast, their gates a hundred
    times: at the rate of the rest a block stays nearly the identity (docs/results.md).
    """
    return ReidConfig(
        clips=ReidClipsConfig(identities=8, tracklets=4, frames=4, height=256, width=128),
        net=ReidNetConfig(model="osnet_x0_25"),
        train=EngineConfig(
            epochs=10,
            batch_size=32,
            optimizer="adamw",
            lr=3.5e-4,
            weight_decay=5e-4,
            schedule="cosine",
            warmup=0.1,
            block_lr=10,
            gate_lr=100,
        ),
    )


@recipe(ReidConfig, from_weights=True)
def r50() -> ReidConfig:
    """ResNet-50 from ImageNet on clips, for a GPU: the baseline with cosine and twice the tracklets of a person."""
    return ReidConfig(
        clips=ReidClipsConfig(identities=8, tracklets=4, frames=8, repeats=2),
        net=ReidNetConfig(model="resnet50", last_stride=1, weights="imagenet"),
        train=EngineConfig(
            epochs=60,
            batch_size=32,
            optimizer="adamw",
            lr=3.5e-4,
            weight_decay=5e-4,
            schedule="cosine",
            warmup=0.1,
            block_lr=10,
            gate_lr=100,
        ),
    )


@recipe(ReidConfig)
def tiny() -> ReidConfig:
    """The tiny 3D backbone on synthetic tracklets, in about a minute on a CPU (docs/reid.md).

    Whole pictures, for a crop could cut arms or legs away. The classifier alone: the neck's scaling hides the little
    that there is to find at first.
    """
    return ReidConfig(
        clips=ReidClipsConfig(
            identities=8, tracklets=4, frames=8, height=44, width=20, zoom=1.0, erase=0.0, repeats=36
        ),
        net=ReidNetConfig(model="r3d_tiny", neck="none"),
        loss=ReidLossConfig(label_smoothing=0.0, triplet=0.0),
        train=EngineConfig(
            epochs=12, batch_size=32, optimizer="adamw", lr=2e-2, weight_decay=0.05, schedule="onecycle", workers=1
        ),
    )
