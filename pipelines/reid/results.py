"""What is saved and printed of a scored test set: its entry in results.json, tables, features, the text."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.reid_set import ReidSet
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.files import save_features
from specvid.eval.reid.protocols import MARS_PROTOCOLS, PROTOCOLS, NoMatchError
from specvid.eval.reid.rerank import KReciprocal
from specvid.eval.reid.result import ReidScore, SplitScore, over_splits
from specvid.files import write_json
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.features import TrackletFeatures, as_reid_features
from specvid.text import counted

_SAME = ("dataset", "source", "split", "checkpoint", "sampling", "rerank")
"""What makes two entries of results.json one evaluation: the same features, ranked in the same way."""

_FRAMES = {
    "all": "all frames in chunks of {}",
    "even": "{} evenly spaced frames",
    "first": "first frame of each of {} segments",
}


@dataclass(frozen=True)
class ReidResult:
    """A test set, scored under some protocols.

    Args:
        features: of queries and gallery.
        scores: in the order asked for.
        failed: for each of the other protocols, why it cannot be scored.
        about: where the features come from.
        rerank: how they were re-ranked.
        errors: unreadable files.
        lost: names of tracklets without any readable frame.
    """

    features: ReidFeatures
    scores: tuple[ReidScore, ...]
    failed: dict[str, str]
    about: Mapping[str, Any]
    rerank: KReciprocal | None = None
    errors: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        data: ReidSet,
        found: TrackletFeatures,
        *,
        checkpoint: str,
        sampling: str,
        spec: ClipSpec,
        protocols: tuple[str, ...] | None = None,
        rerank: KReciprocal | None = None,
        leaked: int = 0,
        elsewhere: bool = False,
    ) -> "ReidResult":
        """Score the features of a test set.

        Args:
            data: the data set.
            found: the features of its test tracklets.
            checkpoint: ``last`` or ``best``; empty for a network that has no run.
            sampling: which frames of a tracklet they are of.
            spec: the clips that they went through the network in.
            protocols: to score under; all that the data set is published under if not given.
            rerank: how to re-rank.
            leaked: how many of its identities were trained on, which makes the figure worthless.
            elsewhere: it is another data set than the one trained on.

        Returns:
            The result.
        """
        protocols = protocols or published(data.protocol)
        about = {
            "dataset": data.title,
            "elsewhere": elsewhere,
            "source": data.source if elsewhere else "",
            "complete": data.is_complete,
            "split": data.split,
            "splits": data.splits,
            "protocol": data.protocol,
            "checkpoint": checkpoint,
            "sampling": sampling,
            "input": _input(sampling, spec),
            "trained_on": leaked,
            **({} if spec.interpolation == "bilinear" else {"interpolation": spec.interpolation}),
        }
        features = as_reid_features(data, found.features, about)
        scores, failed = score_features(features, protocols, rerank=rerank)
        lost = tuple(data.test[row].name for row in found.lost)
        return cls(features, scores, failed, about, rerank, tuple(found.errors), lost)

    def entry(self) -> dict[str, Any]:
        """Its entry of results.json."""
        return {
            **self.about,
            "rerank": str(self.rerank or ""),
            "protocols": {score.protocol: score.as_dict() for score in self.scores},
            "not_scored": self.failed,
            "unreadable": list(self.errors),
            "lost": list(self.lost),
        }

    def save(self, run: RunFolder) -> Path:
        """Write the evaluation's folder in ``eval/`` of a run, and its entry of results.json.

        Protocols that only earlier evaluations of the same kind were scored under are scored again: no figure goes, and
        all are of one set of features.

        Args:
            run: the run that was scored.

        Returns:
            The folder.
        """
        earlier = run.evaluations_like(self.entry(), _SAME)
        result = self._under({name for old in earlier for name in (*old["protocols"], *old["not_scored"])})
        folder = run.evaluation(folder_name(result))
        write_tables(folder, result)
        run.write_evaluation(result.entry(), _SAME)
        return folder

    def _under(self, protocols: set[str]) -> "ReidResult":
        """The same features scored under ``protocols`` too."""
        missing = protocols - {score.protocol for score in self.scores} - self.failed.keys()
        scores, failed = score_features(self.features, tuple(sorted(missing)), rerank=self.rerank)
        in_order = sorted((*self.scores, *scores), key=lambda score: list(PROTOCOLS).index(score.protocol))
        return replace(self, scores=tuple(in_order), failed={**self.failed, **failed})

    def describe(self, title: str, folder: Path | None = None) -> str:
        """All figures as text, each with its protocol, valid queries and gallery beside it.

        Args:
            title: what was scored.
            folder: where the details are.

        Returns:
            Several lines.
        """
        about, lines = self.about, [title]
        if "dataset" in about:
            leaked = about.get("trained_on", 0)
            honest = f", NOT HONEST: {leaked} of its identities were trained on" if leaked else ""
            data = f"{about['dataset']}, split {about['split']}, {about['input']}{honest}"
            epoch = f"{about['checkpoint']} epoch" if about.get("checkpoint") else "not trained here"
            lines = [f"{title}, {epoch}: {data}"]
        lines += [line for score in self.scores for line in str(score).splitlines()]
        lines += [f"{protocol}: not scored, {why}" for protocol, why in self.failed.items()]
        lines += [f"unreadable: {error}" for error in self.errors[:10]]
        if len(self.errors) > 10:
            lines.append(f"unreadable: {len(self.errors) - 10} more chunks, see results.json")
        if self.lost:
            names = ", ".join(self.lost[:5])
            lines.append(f"{counted(len(self.lost), 'tracklet')} without a readable frame, similar to nothing: {names}")
        if folder is not None:
            lines.append(f"per query, and features to score again: {folder}")
        return "\n  ".join(lines)


def _input(sampling: str, spec: ClipSpec) -> str:
    """What the network was given of a tracklet: which frames, at what size, resized how, mirrored or not."""
    which, _, mirrored = sampling.partition("-")
    frames = _FRAMES[which].format(spec.frames) + (" and their mirror images" if mirrored else "")
    return f"{frames}, {spec.describe_picture()}"


def published(protocol: str) -> tuple[str, ...]:
    """The protocols that figures of a data set are published under.

    Args:
        protocol: its own.

    Returns:
        MARS's three, or its own alone.
    """
    return MARS_PROTOCOLS if protocol in MARS_PROTOCOLS else (protocol,)


def score_features(
    features: ReidFeatures, protocols: tuple[str, ...], **options: Any
) -> tuple[tuple[ReidScore, ...], dict[str, str]]:
    """Score features under several protocols.

    Args:
        features: of queries and gallery.
        protocols: their names.
        **options: of `specvid.eval.score_reid`.

    Returns:
        The scores, and for each of the other protocols why there is none.
    """
    scores, failed = [], {}
    for protocol in protocols:
        try:
            scores.append(features.score(protocol, **options))
        except NoMatchError as error:
            failed[protocol] = str(error)
    return tuple(scores), failed


def folder_name(result: ReidResult) -> str:
    """The name of an evaluation's folder, another one for each evaluation of a run.

    Args:
        result: of the evaluation.

    Returns:
        ``splitS-CHECKPOINT-SAMPLING[-on-DATASET][-reranked[-K1-K2-LAMBDA]]``. Without ``on`` it is the data set that
        was trained on, without numbers the re-ranking of the paper. Own data, or parts of a published set, that have
        one title differ by a checksum of where they lie.
    """
    about, rerank = result.about, result.rerank
    name = f"split{about['split']}-{about['checkpoint']}-{about['sampling']}"
    if about["elsewhere"]:
        name += "-on-" + re.sub(r"[^\w.]+", "-", about["dataset"]).strip("-")
        name += f"-{zlib.crc32(about['source'].encode()):08x}" if about["source"] else ""
    if rerank:
        name += "-reranked"
        name += "" if rerank == KReciprocal() else f"-{rerank.k1}-{rerank.k2}-{rerank.lambda_value}"
    return name


def write_tables(folder: Path, result: ReidResult, *, with_features: bool = True) -> None:
    """Write ``results.json``, ``queries-PROTOCOL.csv`` for each protocol, and ``features.parquet``.

    Args:
        folder: where to.
        result: the evaluation.
        with_features: write the features too.
    """
    write_json(folder / "results.json", result.entry())
    names = None if result.features.query_names is None else result.features.query_names.tolist()
    for score in result.scores:
        score.save_csv(folder / f"queries-{score.protocol}.csv", names=names)
    if with_features:
        save_features(folder / "features.parquet", result.features)


def mean_over_splits(results: Sequence[ReidResult]) -> dict[str, SplitScore]:
    """Mean and deviation over several scorings.

    Args:
        results: of the splits.

    Returns:
        For each protocol that all of them have; empty where there is but one scoring.
    """
    means: dict[str, SplitScore] = {}
    for protocol in [score.protocol for score in results[0].scores] if len(results) > 1 else []:
        scores = [score for result in results for score in result.scores if score.protocol == protocol]
        if len(scores) == len(results):
            means[protocol] = over_splits(scores)
    return means
