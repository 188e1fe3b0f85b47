"""Matching the names in a file to those of a `VideoModel`.

A file may hold the whole model (``backbone.layer1...``, ``head.classifier.weight``) or, as published checkpoints do,
the bare backbone with its own classifier (``layer1...``, ``fc.weight``); either may be wrapped, so that every name
has a prefix (``module.`` of DataParallel, ``model.``, ``backbone.``, or any other): the prefix that matches most
names is the one. Some projects spell the layers of a ResNet in a way of their own: a `DIALECT` translates, and the one
that matches most is the one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

BACKBONE, TAIL, CLASSIFIER = "backbone.", "tail.", "head.classifier."
NECK, PROJECTION = "head.neck.", "head.projection."
PROJECTOR = "projector."  # of a training without labels
# names of the classifier in checkpoints of other projects, besides the one of the backbone itself: torchvision and
# kenshohara, torchreid, timm, mmaction2, TSN's and TSM's own repositories, fast-reid (old, new)
CLASSIFIERS = ("fc", "classifier", "head", "cls_head.fc_cls", "new_fc", "heads.classifier", "heads")
# the BNNeck of fast-reid (with and without an embedding layer before it), and of the "bag of tricks" baseline
NECKS = ("heads.bottleneck.0", "heads.bottleneck.1", "heads.bnneck", "bottleneck")

# mmaction2 builds its ResNets of ConvModules: layer1.0.conv1.conv.weight, layer1.0.conv1.bn.weight; TSM's repository
# has layer1.0.conv1.net.weight
_MMCV = (
    (re.compile(r"\bconv(\d)\.(?:conv\.)?(?:net\.)?(?=[^.]+$)"), r"conv\1."),  # a ConvModule, around it TSM's shift
    (re.compile(r"\bconv(\d)\.bn\."), r"bn\1."),
    (re.compile(r"\bdownsample\.conv\."), "downsample.0."),
    (re.compile(r"\bdownsample\.bn\."), "downsample.1."),
)

# SlowFast's ResNets of one pathway: s2.pathway0_res0.branch2.a.weight, head.projection.weight
_SLOWFAST = (
    (re.compile(r"\bs1\.(?:pathway0|s0)_stem\.conv\."), "conv1."),
    (re.compile(r"\bs1\.(?:pathway0|s0)_stem\.bn\."), "bn1."),
    *((re.compile(rf"\bs{stage + 1}\.pathway0_res(\d+)\."), rf"layer{stage}.\1.") for stage in range(1, 5)),
    (re.compile(r"\bbranch1\."), "downsample.0."),
    (re.compile(r"\bbranch1_bn\."), "downsample.1."),
    *((re.compile(rf"\bbranch2\.{letter}\."), f"conv{i}.") for i, letter in enumerate("abc", start=1)),
    *((re.compile(rf"\bbranch2\.{letter}_bn\."), f"bn{i}.") for i, letter in enumerate("abc", start=1)),
    (re.compile(r"\bhead\.projection\."), "fc."),
)

# GhostNet's ghost modules, and HorNet's gnconv, are layers of ours
_GHOSTNET = (
    (re.compile(r"\bprimary_conv\.0\.weight$"), "kernel"),
    (re.compile(r"\bprimary_conv\.1\."), "norm."),
    (re.compile(r"\bcheap_operation\.0\."), "cheap."),
    (re.compile(r"\bcheap_operation\.1\."), "cheap_norm."),
)
_HORNET = (
    (re.compile(r"\bgnconv\.proj_in\."), "gnconv.proj."),
    (re.compile(r"\bgnconv\.dwconv\."), "gnconv.depthwise."),
    (re.compile(r"\bgnconv\.pws\."), "gnconv.raises."),
    (re.compile(r"\bgnconv\.proj_out\."), "gnconv.out."),
)


def _translate(rules: Iterable[tuple[re.Pattern[str], str]], name: str) -> str:
    for pattern, ours in rules:
        name = pattern.sub(ours, name)
    return name


DIALECTS: tuple[Callable[[str], str], ...] = (
    str,
    *(partial(_translate, rules) for rules in (_MMCV, _SLOWFAST, _GHOSTNET, _HORNET)),
)


def match_names(file: Mapping[str, tuple[int, ...]], model: Iterable[str], *, classifier: str) -> dict[str, str]:
    """Match the names in a file with those in a model.

    Args:
        file: Shapes by name.
        model: Names of its tensors.
        classifier: Its name in the backbone's published checkpoints.

    Returns:
        File name -> model name, for those that have one.
    """
    model = set(model)
    readings = []
    for dialect in DIALECTS:
        original = {dialect(name): name for name in file}
        shapes = {ours: file[theirs] for ours, theirs in original.items()}
        for names in (_whole_model(shapes, model), _published(shapes, model, classifier)):
            readings.append({original[name]: target for name, target in names.items()})
    return max(readings, key=len)


def _whole_model(file: Mapping[str, tuple[int, ...]], model: set[str]) -> dict[str, str]:
    names = {prefix + name: name for prefix in _prefix(file, model) for name in model}
    return {name: names[name] for name in file if name in names}


def _published(file: Mapping[str, tuple[int, ...]], model: set[str], classifier: str) -> dict[str, str]:
    """The reading of ``file`` as the bare backbone, with the head of whatever project."""
    bare = bare_names(model)
    names: dict[str, str] = {}
    for prefix in _prefix(file, bare):
        tail = {name: target for name, target in bare.items() if target.startswith(TAIL)}
        for start in _starts(prefix):  # mmaction2's X3D has its hidden layer in its head, not in its backbone
            names |= {start + name: target for name, target in tail.items()}
        names |= {prefix + name: target for name, target in bare.items()}
        for start in _starts(prefix):
            names |= _neck(file, model, start)
            for own in dict.fromkeys((*CLASSIFIERS, classifier)):  # the backbone's own name comes last and wins
                for name in model:
                    if name.startswith(CLASSIFIER):
                        names[f"{start}{own}.{name.removeprefix(CLASSIFIER)}"] = name
    return {name: names[name] for name in file if name in names}


def bare_names(model: Iterable[str]) -> dict[str, str]:
    """Names of a model's tensors in a checkpoint of the bare backbone.

    Args:
        model: Names of its tensors.

    Returns:
        Name in the checkpoint -> name in the model.
    """
    parts = (BACKBONE, TAIL)
    return {name.removeprefix(part): name for part in parts for name in model if name.startswith(part)}


def _neck(file: Mapping[str, tuple[int, ...]], model: set[str], start: str) -> dict[str, str]:
    """BNNecks, and fast-reid's embedding layer before one: a 1x1 convolution."""
    names = {}
    for own in NECKS:
        is_norm = len(file.get(f"{start}{own}.weight", ())) == 1
        part = NECK if is_norm else PROJECTION
        for name in model:
            if name.startswith(part):
                names[f"{start}{own}.{name.removeprefix(part)}"] = name
    return names


def _starts(prefix: str) -> list[str]:
    """What may stand before the name of a head where the backbone has ``prefix``: module.backbone. -> also module."""
    cuts = [match.end() for match in re.finditer(r"\.", prefix)]
    return ["", *(prefix[:cut] for cut in cuts)]


def _prefix(file: Iterable[str], names: Iterable[str]) -> list[str]:
    """The prefix with which most names of the file are names of the model (none: an empty list)."""
    names = set(names)
    votes: Counter[str] = Counter()
    for name in file:
        cut = 0
        while cut >= 0:
            if name[cut:] in names:
                votes[name[:cut]] += 1
            dot = name.find(".", cut)
            cut = dot + 1 if dot >= 0 else -1
    return [min(votes, key=lambda prefix: (-votes[prefix], len(prefix)))] if votes else []
