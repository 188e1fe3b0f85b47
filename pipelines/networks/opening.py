"""`open_network`: from a `NetworkConfig` to a network that is ready to use, with all that is known of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from specvid.datasets.clips.spec import ClipSpec, as_pair
from specvid.datasets.decode import list_decoders
from specvid.models import VideoModel, create_model
from specvid.models.pretrained import build_described, is_shared, load, only_for_training
from specvid.models.spec import InputSpec
from specvid.models.weights.load import count_classes
from specvid.models.weights.read import read_shapes
from specvid.models.zero_shot import PROMPT, set_classes
from specvid.pipelines.engine.run import META, WEIGHTS, RunFolder
from specvid.pipelines.networks.class_names import class_names
from specvid.pipelines.networks.config import InputConfig, NetworkConfig


@dataclass(frozen=True, eq=False)
class OpenedNetwork:
    """A network and what is known of it.

    Attributes:
        model: in eval mode on the CPU; ``model.input`` says which clips it takes.
        metadata: the meta.json of the run's checkpoint; empty without a run.
        classes: names of the logits, in their order; empty where nothing names them.
        sampling: how clips are taken from a video, ``dense`` or ``segments``.
        decoder: the video decoder it was trained with.
        trained: its weights come from somewhere; else they are initialised from the seed.
        message: what the user should know of the names of the classes; may be empty.
    """

    model: VideoModel
    metadata: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    sampling: str = "dense"
    decoder: str = "pyav"
    trained: bool = True
    message: str = ""

    @property
    def clip(self) -> ClipSpec:
        """How its clips are read from a video."""
        return ClipSpec.of(self.model.input, sampling=self.sampling, decoder=self.decoder)


def open_network(
    config: NetworkConfig, *, changes: InputConfig | None = None, classifier: bool = False, labels: str = ""
) -> OpenedNetwork:
    """Open a run, a backbone, a shared folder or a name on the Hub as a network.

    Args:
        config: which network.
        changes: changes to the clips that it takes.
        classifier: the network must have a classifier, whose classes get names. One of a backbone is as large as the
            classifier in its weights, unless ``config.classes`` says otherwise.
        labels: a file with the names of the classes, in place of those that come with the network; not for a run.

    Returns:
        The network, in eval mode on the CPU.

    Raises:
        ValueError: no or a wrong run, model, weights or labels; weights without the classifier that is needed; clips
            that the network cannot take.
    """
    config.require()
    if labels and config.run:
        raise ValueError(f"labels {labels!r} cannot be set with --run {config.run!r}: a run brings its own.")
    if config.run:
        opened = _open_run(config)
    elif is_shared(config.model):
        opened = _open_shared(config, classifier, labels)
    else:
        opened = _open_backbone(config, classifier, labels)
    if classifier and opened.model.num_classes is None:
        raise ValueError(f"{config.title} has no classifier, so it names no classes.{_train_one(config, opened)}")
    if changes is not None:
        opened.model.input = _change_input(opened.model.input, changes.changes())
    opened.model.eval()
    return opened


def _train_one(config: NetworkConfig, opened: OpenedNetwork) -> str:
    """How a run of a training without labels gets a classifier."""
    if opened.metadata.get("task") != "pretrain":
        return ""
    weights = Path(config.run) / config.checkpoint / WEIGHTS
    return f" Train one: specvid train action --weights {weights} ..."


def hash_weights(model: nn.Module) -> str:
    """A fingerprint of a network's weights.

    Args:
        model: the network.

    Returns:
        sha256 over the names, types, shapes and values of all parameters and buffers, as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _open_run(config: NetworkConfig) -> OpenedNetwork:
    run = RunFolder(config.run)
    run.config()  # says so where this is no run at all
    metadata, file = run.meta(config.checkpoint), run.checkpoint(config.checkpoint) / META
    model = build_described(metadata, file, trusted=config.trust)
    _add_buffers(model, metadata.get("buffers", {}), file)
    run.load_model(config.checkpoint, model, without=only_for_training(metadata, file))
    decoder = str(metadata.get("data", {}).get("decoder", "pyav"))
    decoder = decoder if decoder in list_decoders() else "pyav"  # all give the same frames; there was one more
    return OpenedNetwork(model, metadata, model.classes or (), model.sampling, decoder)


def _add_buffers(model: VideoModel, shapes: Any, file: Path) -> None:
    """What the training added to the model, e.g. the centres of a loss: as large as the weights say it is."""
    if not isinstance(shapes, Mapping):
        raise ValueError(f"{str(file)!r}: buffers are {shapes!r}; they must be names with shapes.")
    saved = read_shapes(file.parent / WEIGHTS)
    for name, shape in shapes.items():
        if list(saved.get(name, ())) != shape or name in model.state_dict():
            raise ValueError(f"{str(file)!r}: the weights beside it have no buffer {name!r} of shape {shape!r}.")
        model.register_buffer(name, torch.zeros(shape))


def _open_shared(config: NetworkConfig, classifier: bool, labels: str) -> OpenedNetwork:
    if config.backbone_settings:
        raise ValueError(
            f"{', '.join(config.backbone_settings)} cannot be set with the model {config.model!r}: it brings its own."
        )
    model = load(config.model, trusted=config.trust)
    named = classifier and model.num_classes is not None
    classes, message = class_names(model, weights="", labels=labels) if named else (model.classes or (), "")
    return OpenedNetwork(model, classes=classes, sampling=model.sampling, message=message)


def _open_backbone(config: NetworkConfig, classifier: bool, labels: str) -> OpenedNetwork:
    count = config.classes if isinstance(config.classes, int) else None
    if classifier and count is None and not config.class_names:
        count = _count_classes(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = create_model(
            config.model,
            blocks=config.blocks,
            conv=config.conv,
            num_classes=count,
            weights=config.weights or None,
            input=_seen(config),
        )
    trained = bool(config.weights) or model.own is not None
    if config.class_names:
        if labels:
            raise ValueError(f"labels {labels!r} cannot be set with --classes {config.classes!r}, which names them.")
        set_classes(model, config.class_names, prompt=config.prompt or PROMPT)
        return OpenedNetwork(model, classes=model.classes or (), trained=trained)
    if not classifier:
        return OpenedNetwork(model, trained=trained)
    if model.loaded is not None and "head.classifier.weight" not in model.loaded.matched:
        why = model.loaded.mismatched.get("head.classifier.weight", "they bring none")
        raise ValueError(
            f"weights {model.loaded.source!r} have no classifier of {count} classes for {config.model!r}: {why}."
        )
    classes, message = class_names(model, weights=config.weights, labels=labels)
    return OpenedNetwork(model, classes=classes, trained=trained, message=message)


def _seen(config: NetworkConfig) -> dict[str, Any]:
    """The change to a backbone's input for what it sees."""
    return {} if config.modality is None else {"modality": config.modality}


def _count_classes(config: NetworkConfig) -> int:
    """The number of classes of the classifier in the weights of a backbone."""
    model = None
    if config.weights or config.model.startswith(("hf:", "clip:")):  # the others bring no weights along
        model = create_model(config.model, blocks=config.blocks, input=_seen(config))
    if model is not None and not config.weights and model.own is not None and model.own.classifier:
        return len(model.own.classifier["weight"])
    if model is None or not config.weights:
        raise ValueError(
            f"model {config.model!r} needs a classifier: --weights FILE that bring one (DEFAULT for published ones), "
            "or --classes N."
        )
    count = count_classes(model, config.weights)
    if count is None:
        raise ValueError(f"weights {config.weights!r} bring no classifier for {config.model!r}, so they name no class.")
    return count


def _change_input(own: InputSpec, changes: dict[str, Any]) -> InputSpec:
    """The network's own input with changes; a size alone takes the resize along, in the network's own proportion."""
    if "size" in changes and "resize" not in changes:
        short = own.resize if isinstance(own.resize, int) else min(own.resize)
        changes["resize"] = max(changes["size"], round(changes["size"] * short / min(own.crop)))
    spec = own.override(changes)
    if min(as_pair(spec.resize)) < min(spec.crop):
        raise ValueError(f"resize {spec.resize} is smaller than the crop of {spec.size} px: raise --resize.")
    return spec
