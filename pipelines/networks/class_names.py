"""What the classes of a network are called: as a file says, or what lies beside its weights, or its data set."""

import re
from pathlib import Path

from specvid.datasets.layouts.text import read_text
from specvid.models.spec import Pretrained
from specvid.models.video_model import VideoModel
from specvid.reading import parse_json, read_plain


def class_names(model: VideoModel, *, weights: str, labels: str = "") -> tuple[tuple[str, ...], str]:
    """The names of a model's logits.

    In this order: the file ``labels``; the model's own; ``*labels*.txt`` beside the ``weights``; the data set of the
    weights published for this backbone, if it has as many classes; numbers.

    Args:
        model: with a classifier.
        weights: the file or name from which it was loaded; empty for none.
        labels: a file of names; empty for none.

    Returns:
        The names, and a message on where they come from ("" where the user or the model says so).

    Raises:
        ValueError: a ``labels`` file of another number of classes.
    """
    count = model.num_classes
    if labels:
        names = read_labels(labels)
        if len(names) != count:
            raise ValueError(f"labels {labels!r}: {len(names)} names for the {count} classes of the network.")
        return names, ""
    if model.classes is not None:
        return model.classes, ""
    if Path(weights).is_file():
        for file in sorted(Path(weights).parent.glob("*labels*.txt")):
            names = read_labels(file)
            if len(names) == count:
                return names, f"classes are named as in {file}."
    for published in model.pretrained.values():
        names = _of_data_set(published)
        if len(names) == count:
            data = published.data.split(", ")[-1]
            why = "" if weights in ("DEFAULT", *model.pretrained) else ", since there are as many"
            return names, f"classes are named as in {data}{why}; --labels FILE names others." if why else ""
    return tuple(f"class {i}" for i in range(count or 0)), "the classes have no names: --labels FILE gives them."


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Read names of classes in their order.

    Args:
        path: a line each (perhaps ``number name``, as in UCF-101), or a JSON list.

    Returns:
        The names.

    Raises:
        ValueError: a missing file, or JSON of another form.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"labels {str(path)!r}: there is no such file.")
    if path.suffix == ".json":
        try:
            names = parse_json(read_plain(path))
        except ValueError as error:
            raise ValueError(f"labels {str(path)!r} is no JSON ({error}).") from error
        if not isinstance(names, list):
            raise ValueError(f"labels {str(path)!r}: the JSON must be a list of names, in the order of the logits.")
        return tuple(map(str, names))
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d{1,9})[\s,:]+(.+)", line) for line in lines]
    numbers = [int(match[1]) for match in numbered if match]
    if numbers and numbers == list(range(numbers[0], numbers[0] + len(lines))):
        return tuple(match[2] for match in numbered if match)
    return tuple(lines)


def _of_data_set(published: Pretrained) -> tuple[str, ...]:
    """The classes of a data set that torchvision knows, in the usual order."""
    from torchvision.models import _meta

    data = published.data.split(", ")[-1]  # what it was trained on last
    known = {"Kinetics-400": "_KINETICS400_CATEGORIES", "ImageNet-1k": "_IMAGENET_CATEGORIES"}
    return tuple(getattr(_meta, known.get(data, ""), ()))
