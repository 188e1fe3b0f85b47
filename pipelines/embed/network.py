"""The network of an embedding: clips in, one vector a clip out; and its metadata, which is written down."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from specvid.datasets.clips.transforms import normalise_clips
from specvid.errors import nearest
from specvid.models.blocks.precision import allow_tf32
from specvid.models.clip import ForwardPass
from specvid.models.insertion.places import trace
from specvid.models.pooling import create_pooling
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.layout import lay_out
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.networks.opening import hash_weights, open_network

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class NetworkMetadata:
    """Metadata of the network that made a data set.

    Attributes:
        model: arguments of `create_model`.
        weights: sha256 over names, types, shapes and values.
        input: the clips that it took, see `InputSpec`.
        feature: what was taken from it.
        dim: length of the vector of a clip.
        sampling: how clips were taken from a window, ``dense`` or ``segments``.
    """

    model: dict[str, Any]
    weights: str
    input: dict[str, Any]
    feature: str
    dim: int
    sampling: str


class Network:
    """A function from clips to vectors, deterministic: ``network(clips)``.

    Args:
        config: which network.
        changes: changes to the clips that it takes.
        feature: what is taken from it, as `OutputConfig` says.
        device: where it is computed.
        precision: autocast of the network, ``fp32``, ``bf16`` or ``fp16``.
        tf32: on a GPU, multiply fp32 in TF32.
        sampling: ``dense``, ``segments``, or ``auto`` for the network's own.

    Attributes:
        trained: its weights come from somewhere; else they are only initialised from a seed.
        every_crop: each image of a tracklet is seen, whatever the stride: of a backbone of images that was not trained
            on clips, and no stride was asked for. A tracker's crops were chosen before (``--every``), and their mean is
            what the row is for.
        of_images: its backbone sees frames, not clips, so some frames of a clip can be left out of the mean.

    Raises:
        ValueError: a wrong run, model, weights or feature.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        changes: InputConfig | None = None,
        feature: str = "penultimate",
        device: str = "cpu",
        precision: str = "fp32",
        tf32: bool = True,
        sampling: str = "auto",
    ) -> None:
        self.device, self.precision, self.feature = torch.device(device), precision, feature
        opened = open_network(config, changes=changes, classifier=feature == "logits")
        self.trained, self.model, self.input = opened.trained, opened.model, opened.model.input
        self.of_images = self.model.dims == 2
        self.every_crop = not config.run and self.of_images and (changes is None or changes.stride is None)
        spec = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self.input).items()}
        sampling = opened.sampling if sampling == "auto" else sampling
        weights = hash_weights(self.model)
        if not feature.startswith("block:"):  # which looks inside, where a folded network has other numbers
            self.model = self.model.for_inference()
        self.dim, self._tap = _tap_feature(self.model, feature)
        self.metadata = NetworkMetadata(self.model.config, weights, spec, feature, self.dim, sampling)
        self.model.to(self.device)
        lay_out(self.model, self.device.type, precision)
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            allow_tf32(tf32)

    @torch.inference_mode()
    def __call__(self, clips: Tensor, counted: np.ndarray | None = None) -> Tensor:
        """Compute the vectors of clips.

        Args:
            clips: uint8 (B, T, h, w, C) on the CPU.
            counted: bool (B, T), the frames that count, at least one of each clip; None: all. Of networks
                of images.

        Returns:
            float32 (B, dim) on the device.
        """
        mask = None if counted is None else torch.from_numpy(counted).to(self.device)
        x = normalise_clips(clips.to(self.device, non_blocking=True), self.input.mean, self.input.std)
        dtype = _AUTOCAST.get(self.precision)
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            if self.feature == "penultimate":
                return self.model.embed(x, mask).float()
            if self.feature == "logits":
                return self.model(x, mask).float()
            self.model.forward_features(x, mask)
            y = self._tap.taken
            assert y is not None
            if y.shape[0] == len(x):
                return y.float().flatten(2).mean(2)
            y_btc = y.float().flatten(2).mean(2).unflatten(0, (len(x), -1))  # an image network: (B·T, C, ...)
            return create_pooling("mean", y_btc.shape[2])(y_btc.transpose(1, 2)[..., None, None], mask)


class _Tap:
    """A hook that holds what a module returned last."""

    def __init__(self) -> None:
        self.taken: Tensor | None = None

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.taken = output


def _tap_feature(model: VideoModel, feature: str) -> tuple[int, _Tap]:
    """The width of a feature, and the hook that takes it where it is inside the network."""
    tap = _Tap()
    if feature == "penultimate":
        return model.embedding_dim, tap
    if feature == "logits":
        if model.num_classes is None:
            raise ValueError("feature 'logits' needs a classifier: --run of a trained recogniser, or --classes N.")
        return model.num_classes, tap
    name = feature.removeprefix("block:")
    modules = dict(model.backbone.named_modules())
    if not name or name not in modules:
        parts = ", ".join(child for child, _ in model.backbone.named_children())
        raise ValueError(
            f"feature 'block:{name}': the backbone has no module {name!r}.{nearest(name, modules)} Its parts: {parts}."
        )
    with ForwardPass(model.input.frames):
        call = trace(model.backbone, model.input.shape(model.dims)).get(name)
    if call is None or call.output is None or len(call.output) < 3:
        given = "nothing" if call is None else call.output
        raise ValueError(f"feature 'block:{name}': the module gives {given}, no map of features: choose another.")
    modules[name].register_forward_hook(tap)
    return call.output[1], tap
