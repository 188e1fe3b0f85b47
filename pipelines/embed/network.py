"""The network of an embedding: clips in, one vector a clip out; and the facts about it that are written down."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from specvid.datasets.clips.spec import as_pair
from specvid.datasets.clips.transforms import Normalise
from specvid.errors import nearest
from specvid.models import VideoModel, create_model
from specvid.models.insertion.places import trace
from specvid.models.pretrained import is_shared, load
from specvid.models.spec import InputSpec
from specvid.pipelines.embed.config import NetChoice

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Facts:
    """What a data set says of the network that made it. ``weights``: a sha256 over names, types, shapes and values."""

    model: dict[str, Any]
    weights: str
    input: dict[str, Any]
    feature: str
    dim: int
    sampling: str


class Network:
    """``network(clips)``: uint8 (B, T, h, w, 3) on the CPU -> float32 (B, dim) on the device, deterministic.

    Raises ``ValueError`` for a wrong run, model, weights or feature. ``unset``: its weights are only seeded.
    """

    def __init__(
        self, choice: NetChoice, *, device: str = "cpu", precision: str = "fp32", sampling: str = "auto"
    ) -> None:
        self.device, self.precision, self.feature = torch.device(device), precision, choice.feature
        model, meta = open_choice(choice)
        self.unset = not (choice.run or choice.weights or is_shared(choice.model))
        self.input = model.input = _input(choice, model.input)
        self.dim, self._tap = _feature(model, choice.feature)
        sampling = str(meta.get("data", {}).get("sampling", "dense")) if sampling == "auto" else sampling
        facts_input = {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self.input).items()
        }
        self.facts = Facts(model.config, hash_weights(model), facts_input, choice.feature, self.dim, sampling)
        self.model = model.eval().to(self.device)
        self._normalise = Normalise(self.input.mean, self.input.std)
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False

    @torch.inference_mode()
    def __call__(self, clips: Tensor) -> Tensor:
        x = self._prepare(clips)
        dtype = _AUTOCAST.get(self.precision)
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            if self.feature == "penultimate":
                return self.model.embed(x).float()
            if self.feature == "logits":
                return self.model(x).float()
            self.model.forward_features(x)
            y = self._tap.taken
            assert y is not None
            if y.shape[0] != len(x):  # an image network: (B·T, C, ...)
                y = y.unflatten(0, (len(x), -1)).transpose(1, 2)
            return y.float().flatten(2).mean(2)

    def _prepare(self, clips: Tensor) -> Tensor:
        """uint8 (B, T, h, w, 3) -> normalised float32 (B, 3, T, h, w), the same numbers as `test_transform` gives."""
        clips = clips.to(self.device, non_blocking=True)
        x = torch.empty(len(clips), 3, *clips.shape[1:4], device=self.device)
        for channel, (scale, shift) in enumerate(zip(self._normalise.scale, self._normalise.shift, strict=True)):
            x[:, channel].copy_(clips[..., channel]).mul_(scale).add_(shift)
        return x


class _Tap:
    """Keeps what a module gave last."""

    def __init__(self) -> None:
        self.taken: Tensor | None = None

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.taken = output


def open_choice(choice: NetChoice) -> tuple[VideoModel, Mapping[str, Any]]:
    """The model, and what its run's checkpoint says of it (empty without a run).

    Raises ``ValueError`` for a wrong run, model or weights.
    """
    if not (choice.run or choice.model):
        raise ValueError("no network is given: --run RUN, or --model NAME [--weights FILE].")
    if choice.run:
        from specvid.pipelines.engine.run import RunFolder
        from specvid.pipelines.networks import open_model

        return open_model(RunFolder(choice.run), choice.checkpoint)
    if is_shared(choice.model):
        if given := [name for name in ("blocks", "weights", "classes") if getattr(choice, name)]:
            raise ValueError(f"{', '.join(given)} cannot be set with the model {choice.model!r}: it brings its own.")
        model = load(choice.model)
        return model, {"data": {"sampling": model.sampling}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(choice.seed)
        model = create_model(
            choice.model, blocks=choice.blocks, num_classes=choice.classes, weights=choice.weights or None
        )
    if (
        choice.feature == "logits"
        and model.loaded is not None
        and not any("classifier" in n for n in model.loaded.matched)
    ):
        raise ValueError(
            f"weights {choice.weights!r} bring no classifier of {choice.classes} classes: logits mean nothing."
        )
    return model, {}


def _input(choice: NetChoice, own: InputSpec) -> InputSpec:
    changes = {name: value for name in ("frames", "stride", "size", "resize") if (value := getattr(choice, name))}
    if "size" in changes and "resize" not in changes:  # in the network's own proportion
        short = own.resize if isinstance(own.resize, int) else min(own.resize)
        changes["resize"] = max(changes["size"], round(changes["size"] * short / min(own.crop)))
    spec = own.override(changes)
    if min(as_pair(spec.resize)) < min(spec.crop):
        raise ValueError(f"resize {spec.resize} is smaller than the crop of {spec.size} px: raise --resize.")
    return spec


def _feature(model: VideoModel, feature: str) -> tuple[int, _Tap]:
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
    spec = model.input
    shape = (1, 3, spec.frames, *spec.crop) if model.dims == 3 else (spec.frames, 3, *spec.crop)
    model.clip.frames = spec.frames
    try:
        call = trace(model.backbone, shape).get(name)
    finally:
        model.clip.frames = None
    if call is None or call.output is None or len(call.output) < 3:
        given = "nothing" if call is None else call.output
        raise ValueError(f"feature 'block:{name}': the module gives {given}, no map of features: choose another.")
    modules[name].register_forward_hook(tap)
    return call.output[1], tap


def hash_weights(model: nn.Module) -> str:
    """sha256 over all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
