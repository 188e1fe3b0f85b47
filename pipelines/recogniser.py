"""A network that names classes: of a trained run, of a shared folder, or a backbone with weights that bring theirs."""

from dataclasses import dataclass
from pathlib import Path

from specvid.models import VideoModel, create_model
from specvid.models.pretrained import is_shared, load
from specvid.models.weights.load import count_classes
from specvid.pipelines.class_names import class_names
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks import open_model


@dataclass(frozen=True)
class Recogniser:
    """``model``: in eval mode on the CPU; ``classes``: names of its logits; ``sampling``, ``decoder``: how clips are
    read; ``note``: what the user should know of the names.
    """

    model: VideoModel
    classes: tuple[str, ...]
    sampling: str = "dense"
    decoder: str = "decord"
    note: str = ""


def of_run(run: str | Path, checkpoint: str = "last") -> Recogniser:
    """The recogniser of a trained run. ``ValueError`` for a wrong run."""
    model, meta = open_model(RunFolder(run), checkpoint)
    if "classes" not in meta:
        raise ValueError(f"run {str(run)!r} is of the task {meta.get('task')!r}: it names no classes.")
    return Recogniser(model, tuple(meta["classes"]), meta["data"]["sampling"], meta["data"]["decoder"])


def of_model(name: str, *, weights: str = "", blocks: str = "", labels: str = "") -> Recogniser:
    """The recogniser of a shared folder or ``owner/name`` of the Hub, or of the backbone ``name`` with ``weights``, a
    file or published ones, which must bring a classifier.

    ``ValueError`` for a wrong name or file, and for weights without a classifier.
    """
    if is_shared(name):
        if weights or blocks:
            raise ValueError(f"weights and blocks cannot be set with the model {name!r}: it brings its own.")
        model = load(name)
        if model.num_classes is None:
            raise ValueError(f"model {name!r} has no classifier, so it names no classes.")
    else:
        if not weights:
            raise ValueError(
                f"weights are not given: --model {name} needs --weights FILE, or DEFAULT for published ones."
            )
        bare = create_model(name, blocks=blocks)
        count = count_classes(bare, weights)
        if count is None:
            raise ValueError(f"weights {weights!r} bring no classifier for {name!r}, so no class can be named.")
        model = create_model(name, blocks=blocks, num_classes=count, weights=weights)
        assert model.loaded is not None
        if "head.classifier.weight" not in model.loaded.matched:
            why = model.loaded.mismatched.get("head.classifier.weight", "it does not fit")
            raise ValueError(f"weights {weights!r}: their classifier is not one for {name!r} ({why}).")
    classes, note = class_names(model, weights=weights, labels=labels)
    return Recogniser(model.eval(), classes, model.sampling, note=note)
