"""`model.preprocess`, `model.predict`, `model.embed_video`: what the verbs compute, from a path and from frames."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import specvid
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform as transform_of
from specvid.datasets.synthetic.encode import write_video
from specvid.models import VideoModel
from specvid.pipelines.action.predict import predict
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.launch import embed
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A file, and its frames as they decode."""
    path = tmp_path_factory.mktemp("video") / "some.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 9, 12, 3), np.uint8)
    write_video(path, noise.repeat(8, 1).repeat(8, 2), fps=25)
    with specvid.open_video(path) as opened:
        return path, opened.frames(range(len(opened)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model with names of classes."""
    torch.manual_seed(0)
    model = specvid.create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=3)
    torch.nn.init.normal_(model.head.classifier.weight)
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder, classes=["run", "jump", "sit"], license="mit")
    assert 'license: "mit"' in (folder / "README.md").read_text()
    return folder


def test_preprocess_is_what_testing_does(shared: Path, video: tuple[Path, np.ndarray]) -> None:
    model = specvid.load(shared)
    frames = video[1][:16]
    x = model.preprocess(frames)
    assert torch.equal(x, transform_of(ClipSpec.of(model.input))(frames))
    assert x.shape == (1, 3, 16, *model.input.crop)
    assert torch.equal(model.preprocess(torch.from_numpy(frames)), x)
    assert model(x).shape == (1, 3)


def test_predict_is_the_verb(shared: Path, video: tuple[Path, np.ndarray]) -> None:
    path, frames = video
    opened = open_network(NetworkConfig(model=str(shared)), classifier=True)
    (verb,) = predict([path], opened, top=2, clips=4, crops=3, compute=ComputeConfig(device="cpu", workers=0))
    model = specvid.load(shared).train()
    ours = model.predict(path, top=2, clips=4, crops=3)
    assert model.training and model.backbone.training
    assert [name for name, _ in ours] == [name for name, _ in verb.classes]
    np.testing.assert_allclose([p for _, p in ours], [p for _, p in verb.classes], rtol=1e-5)
    assert model.predict(frames, top=2, clips=4, crops=3) == ours
    with specvid.open_video(path) as opened_video:
        for _ in range(2):  # it stays open
            assert model.predict(opened_video, top=2, clips=4, crops=3) == ours
        assert torch.equal(model.embed_video(opened_video), model.embed_video(path))
    model.classes = None
    assert {name for name, _ in model.predict(path)} == {"0", "1", "2"}


def test_embed_video_is_the_verb(shared: Path, video: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path, frames = video
    embed([str(path)], tmp_path / "out", EmbedConfig(network=NetworkConfig(model=str(shared))), echo=lambda text: None)
    (row,) = pq.read_table(tmp_path / "out" / "embeddings").to_pylist()
    ours = specvid.load(shared).embed_video(path)
    np.testing.assert_allclose(ours.numpy(), row["embedding"], rtol=1e-5, atol=1e-6)
    assert torch.equal(specvid.create_model(**_config(shared)).embed_video(frames), _fresh(shared).embed_video(path))


def _config(folder: Path) -> dict:
    torch.manual_seed(3)
    return specvid.load(folder).config


def _fresh(folder: Path) -> VideoModel:
    return specvid.create_model(**_config(folder))


def test_mistakes(shared: Path, tmp_path: Path) -> None:
    model = specvid.load(shared)
    clip = np.zeros((16, 72, 96, 3), np.uint8)
    with pytest.raises(ValueError, match=r"must be decoded frames of one video, uint8 RGB \(T, H, W, 3\)"):
        model.preprocess(clip.astype(np.float32))
    with pytest.raises(ValueError, match=r"model.preprocess\(frames\) makes them of decoded frames"):
        model(torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"a model takes \(B, 3, T, H, W\). model.preprocess makes such"):
        model(torch.from_numpy(clip))
    with pytest.raises(ValueError, match=r"no such file|does not exist"):
        model.predict(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match="has no classifier, so it names no classes: embed_video"):
        specvid.create_model("r3d_tiny").predict(clip)


def test_models_alone_are_enough(shared: Path, video: tuple[Path, np.ndarray]) -> None:
    """With `specvid.models` imported and nothing else: it brings no pipelines until they are needed."""
    code = f"""
import sys
from specvid.models import load
model = load({str(shared)!r})
assert not [name for name in sys.modules if name.startswith(("specvid.pipelines", "specvid.datasets"))]
print(model.predict({str(video[0])!r}, clips=1)[0][0], *model.embed_video({str(video[0])!r}).shape)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] in ("run", "jump", "sit") and ran.stdout.split()[1] == "64"
