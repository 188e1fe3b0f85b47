"""Weights that came with the name of a backbone: the classifier among them, and the report on what was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.stages import STAGE_WRAPPERS
from specvid.models.weights.names import BACKBONE, CLASSIFIER, TAIL
from specvid.models.weights.report import LoadReport

if TYPE_CHECKING:
    from specvid.models.spec import OwnWeights
    from specvid.models.video_model import VideoModel


def adopt_own(model: VideoModel, own: OwnWeights) -> LoadReport:
    """Give a model the classifier that came with its backbone, where it has as many classes and nothing before it.

    Args:
        model: Whose backbone has the weights already; its classifier, and its names of classes, are changed in place.
        own: What came with it.

    Returns:
        What was loaded, and what was not.
    """
    added = (InsertedBlock, *STAGE_WRAPPERS.values())
    blocks = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, added))
    state = model.state_dict()
    body = [name for name in state if name.startswith((BACKBONE, TAIL)) and not name.startswith(blocks)]
    missing = {name: "an inserted block, which stays as it is" for name in state if name.startswith(blocks)}
    mismatched: dict[str, str] = {}
    layer, loaded = getattr(model.head, "classifier", None), list[str]()
    if layer is not None and own.classifier:
        theirs, ours = tuple(own.classifier["weight"].shape), tuple(layer.weight.shape)
        if theirs != ours:
            mismatched[f"{CLASSIFIER}weight"] = f"{theirs} in the checkpoint, {ours} in the model"
        else:
            with torch.no_grad():
                for name, parameter in layer.named_parameters():
                    parameter.copy_(own.classifier[name])
                    loaded.append(f"{CLASSIFIER}{name}")
            model.classes = own.classes or None
    elif layer is not None:
        missing[f"{CLASSIFIER}weight"] = "the checkpoint has no classifier"
    return LoadReport(own.source, (*body, *loaded), missing, {}, mismatched)
