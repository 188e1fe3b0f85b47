"""Features of tracklets: chunks add up, frames that do not count do not count."""

import numpy as np
import pytest
import torch
from PIL import Image

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.models.factory import create_model
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.reid.data import make_chunks
from specvid.pipelines.reid.features import embed_tracklets

SIZE = {"frames": 4, "stride": 1, "size": (32, 16), "resize": (32, 16)}


@pytest.fixture(scope="module")
def fabric():
    return make_fabric(ComputeConfig(device="cpu"))


@pytest.fixture(scope="module")
def image_model():
    """A network per frame with mean pooling and without blocks: a tracklet's feature is the mean over its frames."""
    torch.manual_seed(0)
    return create_model("mobilenet_v2", neck="bnneck", input=SIZE).eval()


@pytest.fixture(scope="module")
def block_model():
    torch.manual_seed(0)
    return create_model("mobilenet_v2", blocks="snl@features.13", input=SIZE).eval()


def write(folder, count, seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (32, 16, 3), np.uint8)).save(folder / f"{i}.png")
    return Tracklet(folder.name, 1, 1, folder, tuple(f"{i}.png" for i in range(count)))


def embed(fabric, model, tracklets, *, sampling="all", batch_size=3, **options):
    chunks = make_chunks(tracklets, ClipSpec.of(model.input), sampling=sampling)
    return embed_tracklets(fabric, model, chunks, compute=ComputeConfig(batch_size=batch_size, workers=0), **options)


def frames_of(tracklet, model):
    """(N, 3, 32, 16) normalised, read without any of the code under test."""
    images = [np.asarray(Image.open(tracklet.path(i)).convert("RGB")) for i in range(len(tracklet))]
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.input.mean, model.input.std))
    return (x - mean) / std


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_the_mean_over_all_frames(fabric, image_model, tmp_path, count):
    tracklet = write(tmp_path / "t", count)
    found = embed(fabric, image_model, [tracklet])
    with torch.no_grad():
        each = image_model.embed(frames_of(tracklet, image_model)[:, :, None])
    expected = torch.nn.functional.normalize(each.mean(0), dim=0)
    np.testing.assert_allclose(found.features[0], expected, atol=1e-5)
    assert not found.errors
    assert not found.lost


def test_blocks_see_the_chunk_and_not_its_padding(fabric, block_model, tmp_path):
    tracklet = write(tmp_path / "t", 3)
    for module in block_model.modules():
        if hasattr(module, "gate"):
            torch.nn.init.constant_(module.gate, 1.0)
    found = embed(fabric, block_model, [tracklet])
    x = frames_of(tracklet, block_model).transpose(0, 1)[None]
    with torch.no_grad():
        expected = torch.nn.functional.normalize(block_model.embed(x)[0], dim=0)
    np.testing.assert_allclose(found.features[0], expected, atol=1e-5)


@pytest.mark.parametrize(("sampling", "frames"), [("even", [1, 4, 6, 9]), ("first", [0, 2, 5, 8])])
def test_other_samplings(fabric, image_model, tmp_path, sampling, frames):
    tracklet = write(tmp_path / "t", 11)
    found = embed(fabric, image_model, [tracklet], sampling=sampling)
    with torch.no_grad():
        each = image_model.embed(frames_of(tracklet, image_model)[frames][:, :, None])
    np.testing.assert_allclose(found.features[0], torch.nn.functional.normalize(each.mean(0), dim=0), atol=1e-5)


def test_mirror_images(fabric, image_model, tmp_path):
    tracklet = write(tmp_path / "t", 4)
    found = embed(fabric, image_model, [tracklet], flip=True)
    x = frames_of(tracklet, image_model)[:, :, None]
    with torch.no_grad():
        each = image_model.embed(x) + image_model.embed(x.flip(-1))
    np.testing.assert_allclose(found.features[0], torch.nn.functional.normalize(each.mean(0), dim=0), atol=1e-5)


def test_unreadable_frames_do_not_count_and_are_named(fabric, image_model, tmp_path):
    whole, torn, lost = (write(tmp_path / name, 6, seed=4) for name in ("whole", "torn", "lost"))
    torn.path(2).write_bytes(b"")
    for i in range(6):
        lost.path(i).unlink()
    rest = Tracklet("rest", 1, 1, whole.folder, tuple(f"{i}.png" for i in (0, 1, 3, 4, 5)))
    found = embed(fabric, image_model, [torn, lost, rest])
    np.testing.assert_allclose(found.features[0], found.features[2], atol=1e-5)
    assert found.lost == [1]
    assert not found.features[1].any()
    assert len(found.errors) == 7
    assert any(f"{torn.path(2)}: " in error for error in found.errors)


def test_a_3d_network_gets_real_frames_in_the_place_of_missing_ones(fabric, tmp_path):
    torch.manual_seed(0)
    model = create_model("r3d_tiny", input=SIZE).eval()
    tracklet = write(tmp_path / "t", 2)
    found = embed(fabric, model, [tracklet])
    x = frames_of(tracklet, model)[[0, 1, 0, 1]].transpose(0, 1)[None]
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model.embed(x)[0], dim=0)
    np.testing.assert_allclose(found.features[0], expected, atol=1e-5)


def test_a_thousand_frames_take_the_memory_of_a_batch(fabric, image_model, tmp_path):
    folder = tmp_path / "long"
    tracklet = write(folder, 8)
    long = Tracklet("long", 1, 1, folder, tuple(f"{i % 8}.png" for i in range(1000)))
    largest = []
    hook = image_model.backbone.register_forward_pre_hook(lambda module, inputs: largest.append(inputs[0].shape[0]))
    found = embed(fabric, image_model, [tracklet, long], batch_size=25)
    hook.remove()
    np.testing.assert_allclose(found.features[0], found.features[1], atol=1e-5)
    assert max(largest) == 25 * 4  # frames in the network at a time: chunks in a batch x frames in a chunk
