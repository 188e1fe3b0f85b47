"""Matching the names in a file to those of a `VideoModel`.

A file may hold the whole model (``backbone.layer1...``, ``head.classifier.weight``) or, as published checkpoints do,
the bare backbone with its own classifier (``layer1...``, ``fc.weight``); either may be wrapped, so that every name
has a prefix (``module.`` of DataParallel, ``model.``, ``backbone.``, or any other): the prefix that matches most
names is the one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

BACKBONE, CLASSIFIER = "backbone.", "head.classifier."
# names of the classifier in checkpoints of other projects, besides the one of the backbone itself
CLASSIFIERS = ("fc", "classifier", "head", "cls_head.fc_cls")


def match_names(file: Iterable[str], model: Iterable[str], *, classifier: str) -> dict[str, str]:
    """File name -> model name, for those that have one. ``classifier``: its name in the backbone's published
    checkpoints.
    """
    file, model = list(file), set(model)
    bare = {name.removeprefix(BACKBONE) for name in model if name.startswith(BACKBONE)}
    whole = {prefix + name: name for prefix in _prefix(file, model) for name in model}
    published: dict[str, str] = {}
    for prefix in _prefix(file, bare):
        published |= {prefix + name: BACKBONE + name for name in bare}
        for own in dict.fromkeys((*CLASSIFIERS, classifier)):  # the backbone's own name comes last and wins
            for name in model:
                if name.startswith(CLASSIFIER):
                    parameter = name.removeprefix(CLASSIFIER)
                    published |= {f"{start}{own}.{parameter}": name for start in ("", prefix)}
    readings = [{name: names[name] for name in file if name in names} for names in (whole, published)]
    return max(readings, key=len)


def _prefix(file: list[str], names: set[str]) -> list[str]:
    """The prefix with which most names of the file are names of the model (none: an empty list)."""
    votes: Counter[str] = Counter()
    for name in file:
        cut = 0
        while cut >= 0:
            if name[cut:] in names:
                votes[name[:cut]] += 1
            dot = name.find(".", cut)
            cut = dot + 1 if dot >= 0 else -1
    return [min(votes, key=lambda prefix: (-votes[prefix], len(prefix)))] if votes else []
