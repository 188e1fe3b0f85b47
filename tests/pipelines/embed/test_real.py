"""Real clips through the real Inception-I3D: the classes of UCF-101 come apart without any training."""

from pathlib import Path

import pytest
from shared_data import shared

from specvid.pipelines.embed import EmbedConfig, JobConfig, WindowConfig, embed
from specvid.pipelines.embed.evaluate import evaluate
from specvid.pipelines.networks.config import InputConfig, NetworkConfig


@pytest.mark.data
@pytest.mark.slow
def test_kinetics_features_tell_real_actions_apart(tmp_path: Path) -> None:
    """Forty-five clips of nine groups, coarsely (8 frames of 112 px): far above the fifth that guessing gives."""
    root = shared("data/ucf101-5") / "videos"
    weights = str(shared("weights/i3d_inception_rgb_k400.safetensors"))
    clips = [str(path) for path in sorted(root.rglob("*_g0[1-9]_c01.*"))]
    assert len(clips) == 45
    config = EmbedConfig(
        NetworkConfig(model="i3d_inception", weights=weights),
        input=InputConfig(frames=8, stride=4, size=112, resize=112),
        windows=WindowConfig(window="uniform"),
        job=JobConfig(device="cpu", workers=1),
    )
    outcome = embed(clips, tmp_path / "out", config)
    assert (outcome.rows, outcome.failed) == (45, 0)
    found = evaluate(tmp_path / "out")
    assert found.groups == 45 and found.score.accuracy > 0.6
