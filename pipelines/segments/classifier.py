"""From clips to probabilities of classes: the network of segments."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import normalise_clips
from specvid.eval.classification import average_views
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.layout import for_inference
from specvid.pipelines.networks.finite import require_finite
from specvid.pipelines.networks.opening import OpenedNetwork
from specvid.pipelines.segments.config import SegmentConfig
from specvid.pipelines.segments.merging import Rule


@dataclass(frozen=True)
class ClipClassifier:
    """A network with the names of its classes: ``classifier(clips)`` -> logits.

    Args:
        model: of which it holds a copy for inference, on its device.
        spec: the clips that it takes.
        classes: names of the logits.
        thresholds: (C,) where a clip may have several classes; None where it has one.
        compute: precision and batch size.
    """

    model: VideoModel
    spec: ClipSpec
    classes: Sequence[str]
    thresholds: np.ndarray | None = None
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fabric", make_fabric(self.compute))
        object.__setattr__(self, "model", for_inference(self._fabric, self.model))  # type: ignore[attr-defined]

    @classmethod
    def of(
        cls, network: OpenedNetwork | VideoModel, *, compute: ComputeConfig | None = None, min_readable: float = 0.9
    ) -> "ClipClassifier":
        """The classifier of an opened network, or of a model.

        Args:
            network: with a classifier.
            compute: device, precision and batch size.
            min_readable: share of the frames of a video that must decode.

        Returns:
            The classifier.

        Raises:
            ValueError: it names no classes, or has no weights.
        """
        if isinstance(network, VideoModel):
            if network.num_classes is None:
                raise ValueError(
                    f"model {network.config['name']!r} has no classifier, so it names no classes: create it with "
                    "num_classes=..., or load a trained one."
                )
            names = network.classes or tuple(map(str, range(network.num_classes)))
            network = OpenedNetwork(network, classes=names, sampling=network.sampling)
        if not network.trained:
            name = network.model.config["name"]
            raise ValueError(
                f"weights are not given: --model {name} needs --weights FILE, or DEFAULT for published ones."
            )
        if not network.classes:
            raise ValueError(f"the network is of the task {network.metadata.get('task')!r}: it names no classes.")
        thresholds = None
        if network.metadata.get("multilabel"):
            thresholds = np.array(network.metadata.get("thresholds") or [0.5] * len(network.classes))
        spec = ClipSpec.of(
            network.model.input, sampling=network.sampling, decoder=network.decoder, min_readable=min_readable
        )
        return cls(network.model, spec, network.classes, thresholds, compute or ComputeConfig())

    @torch.inference_mode()
    def __call__(self, clips: torch.Tensor) -> np.ndarray:
        """Run the network.

        Args:
            clips: uint8 (N, T, h, w, C), resized and cut out.

        Returns:
            Logits (N, classes), float32.

        Raises:
            ValueError: they are not finite.
        """
        fabric = self._fabric  # type: ignore[attr-defined]
        logits = []
        for part in clips.split(self.compute.batch_size):
            with fabric.autocast():
                logits.append(
                    self.model(normalise_clips(part.to(fabric.device), self.spec.mean, self.spec.std)).float().cpu()
                )
        together = torch.cat(logits).numpy()
        require_finite(together, self.model, "logits")
        return together

    def probabilities(self, logits_vc: np.ndarray) -> np.ndarray:
        """Of the logits of the clips of one window.

        Args:
            logits_vc: (V, C).

        Returns:
            (C,).
        """
        return average_views(logits_vc, multilabel=self.thresholds is not None)

    def rule(self, config: SegmentConfig) -> Rule | None:
        """How windows are put together.

        Args:
            config: says whether, and with which thresholds.

        Returns:
            The rule; None to leave them as they are.
        """
        if not config.merge:
            return None
        enter = np.zeros(len(self.classes)) if self.thresholds is None else self.thresholds
        if config.enter is not None:
            enter = np.full(len(self.classes), config.enter)
        leave = enter if config.leave is None else np.full(len(self.classes), config.leave)
        return Rule(enter, np.minimum(leave, enter), several=self.thresholds is not None)
