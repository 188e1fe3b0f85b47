"""What a model does with videos: `VideoModel.preprocess`, `VideoModel.predict` and `VideoModel.embed_video`.

Models know no decoders and no data sets. These methods are the one way up from there: they import this file when they
are called, and the import contracts name that arrow (pyproject.toml).
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from specvid.datasets.clips.motion import as_modality, open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import Normalise, test_transform
from specvid.datasets.decode import Video
from specvid.eval.classification import average_views
from specvid.models.video_model import VideoModel
from specvid.pipelines.embed.config import WindowConfig
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.windows import WindowPlanner
from specvid.pipelines.networks.finite import require_finite

VideoLike = str | os.PathLike[str] | np.ndarray | Tensor | Video
"""A video file, a folder of images, decoded frames, uint8 RGB (T, H, W, 3), or an open video."""

_BATCH = 4  # clips at a time


class FrameArray(Video):
    """Decoded frames as a video.

    Args:
        frames: uint8 RGB (T, H, W, 3).
    """

    def __init__(self, frames: np.ndarray) -> None:
        super().__init__("frames", len(frames), 0.0, (frames.shape[1], frames.shape[2]))
        self._frames = frames

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        return self._frames[needed]


def preprocess(model: VideoModel, frames: np.ndarray | Tensor) -> Tensor:
    """See `VideoModel.preprocess`.

    Args:
        model: the model.
        frames: as of the method.

    Returns:
        (1, C, T, h, w).
    """
    spec = _spec(model)
    with _open(frames, spec) as video:
        return test_transform(spec)(video.frames(range(len(video)))).to(_device(model))


def predict(
    model: VideoModel, video: VideoLike, *, top: int = 5, clips: int = 10, crops: int = 1
) -> list[tuple[str, float]]:
    """See `VideoModel.predict`.

    Args:
        model: the model.
        video: as of the method.
        top: likewise.
        clips: likewise.
        crops: likewise.

    Returns:
        (name, probability) of the most probable classes, best first.

    Raises:
        ValueError: as of the method.
    """
    if model.num_classes is None:
        raise ValueError(
            f"model {model.config['name']!r} has no classifier, so it names no classes: embed_video() gives its vector"
        )
    if top < 1:
        raise ValueError(f"top {top} must be at least 1.")
    spec = _spec(model)
    transform = test_transform(spec, crops=crops)
    with _open(video, spec) as opened:
        indices = spec.test_frames(len(opened), 1 if spec.sampling == "segments" else clips)
        frames = opened.frames(indices.reshape(-1))
    views = torch.cat([transform(clip) for clip in frames.reshape(*indices.shape, *frames.shape[1:])])
    with _testing(model):
        logits = torch.cat([model(part.to(_device(model))).float().cpu() for part in views.split(_BATCH)])
    require_finite(logits, model, "logits")
    probabilities = average_views(logits.numpy())
    names = model.classes or tuple(map(str, range(model.num_classes)))
    return [(names[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable")[:top].tolist()]


def embed_video(model: VideoModel, video: VideoLike) -> Tensor:
    """See `VideoModel.embed_video`.

    Args:
        model: the model.
        video: as of the method.

    Returns:
        (E,).

    Raises:
        ValueError: as of the method.
    """
    spec = _spec(model)
    normalise = Normalise(spec.mean, spec.std)
    total, count = torch.zeros(model.embedding_dim, dtype=torch.float64), 0
    with _open(video, spec) as opened, _testing(model):
        for chunk in Reader(WindowPlanner(WindowConfig(), spec)).clips_of(opened):
            assert chunk.clips is not None
            for clips in chunk.clips.split(_BATCH):
                x = torch.stack([normalise(clip) for clip in clips.numpy()]).to(_device(model))
                total, count = total + model.embed(x).double().sum(0).cpu(), count + len(clips)
    vector = (total / count).float()
    require_finite(vector, model, "embedding")
    return vector


def _spec(model: VideoModel) -> ClipSpec:
    return ClipSpec.of(model.input, sampling=model.sampling)


def _device(model: VideoModel) -> torch.device:
    return next(model.parameters()).device


def _check(frames: np.ndarray | Tensor) -> np.ndarray:
    array = frames.cpu().numpy() if isinstance(frames, Tensor) else np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or not len(array):
        raise ValueError(
            f"frames of shape {array.shape} and {array.dtype} do not fit: they must be decoded frames of one video, "
            "uint8 RGB (T, H, W, 3), T >= 1"
        )
    return array


def _open(video: VideoLike, spec: ClipSpec) -> AbstractContextManager[Video]:
    if isinstance(video, Video):
        return nullcontext(video)  # whoever opened it closes it
    if isinstance(video, str | os.PathLike):
        return open_clips(video, spec)
    return as_modality(FrameArray(_check(video)), spec)


@contextmanager
def _testing(model: VideoModel) -> Iterator[None]:
    """Eval mode without gradients; each module is afterwards in the mode in which it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
