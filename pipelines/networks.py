"""From the folder of a run to its trained model."""

from typing import Any

import torch

from specvid.models import VideoModel, create_model
from specvid.pipelines.engine.run import RunFolder


def open_model(run: RunFolder, checkpoint: str = "last") -> tuple[VideoModel, dict[str, Any]]:
    """The model of a run's checkpoint ``last`` or ``best``, in eval mode on the CPU, and the checkpoint's meta.

    Raises ValueError where the folder is no run, has no such checkpoint, or the weights are of another model.
    """
    run.config()  # says so where this is no run at all
    meta = run.meta(checkpoint)
    model = create_model(**meta["model"])
    for name, shape in meta.get("buffers", {}).items():  # what the training added, e.g. the centres of a loss
        model.register_buffer(name, torch.zeros(shape))
    run.load_model(checkpoint, model)
    model.classes = tuple(meta["classes"]) if "classes" in meta else None
    model.sampling = str(meta.get("data", {}).get("sampling", "dense"))
    return model.eval(), meta
