"""Late fusion: several networks on one test list, and the mean of their probabilities for each clip."""

from collections.abc import Mapping, Sequence

import numpy as np

from specvid.datasets.layouts.action_set import ActionSet
from specvid.eval.classification import score_classification
from specvid.eval.multilabel import score_multilabel
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.action.results import ActionResult, ClipScores, MultilabelResult, SingleLabelResult


def check_fusion(scored: Sequence[tuple[str, ActionLists | ActionSet]], how: str) -> None:
    """Refuse what cannot be fused, before anything is scored.

    Args:
        scored: each run by its name, with the split that it is scored on.
        how: as of `fuse`.

    Raises:
        ValueError: less than two runs, different splits, test lists or classes, or a fusion that does not fit them.
    """
    if len(scored) < 2:
        raise ValueError(f"fuse {how!r}: {len(scored)} result; several runs on one split are needed.")
    (name, first), *others = scored
    for other_name, other in others:
        same = first.classes == other.classes and first.split == other.split
        if not same or [record.name for record in first.test] != [record.name for record in other.test]:
            raise ValueError(f"fuse {how!r}: {name} and {other_name} are of different splits, test lists or classes.")
    if how == "geometric" and first.is_multilabel:
        raise ValueError("fuse 'geometric' is for clips of one class each; take mean.")


def fuse(results: Mapping[str, ActionResult], how: str) -> ActionResult:
    """Late fusion: the mean of what several networks predict for the same clips.

    Args:
        results: of each run by its name, on one test list.
        how: ``mean`` of the probabilities, or ``geometric``: of their logarithms.

    Returns:
        The fused result. A clip that one of them could not read has no prediction.

    Raises:
        ValueError: as of `check_fusion`.
    """
    check_fusion([(name, result.lists) for name, result in results.items()], how)
    first = next(iter(results.values()))
    shares = np.stack([result.scores.probabilities for result in results.values()])
    if how == "geometric":
        logs = np.log(np.maximum(shares, 1e-12)).mean(axis=0)
        fused = np.exp(logs - logs.max(axis=1, keepdims=True))
        fused /= fused.sum(axis=1, keepdims=True)
    else:
        fused = shares.mean(axis=0)
    remarks = []
    for name in ("errors", "repeated", "unusual"):
        per_clip = zip(*(getattr(result.scores, name) for result in results.values()), strict=True)
        remarks.append([next(filter(None, own), "") for own in per_clip])
    scores = ClipScores(fused, *remarks)
    leaked = max(result.about["trained_on"] for result in results.values())
    about = {**first.about, "trained_on": leaked, "fused": list(results), "fuse": how}
    for name in ("best_is", "modality", "interpolation"):  # of one network alone
        about.pop(name, None)
    if any(result.about.get("input") != first.about.get("input") for result in results.values()):
        about.pop("input", None)
    if first.lists.is_multilabel:
        about["thresholds_chosen"] = False  # those of a single network do not hold for the mean
        found = score_multilabel(fused, [record.labels for record in first.lists.test])
        return MultilabelResult(first.lists, scores, found, about)
    return SingleLabelResult(
        first.lists, scores, score_classification(fused, [record.label for record in first.lists.test]), about
    )
