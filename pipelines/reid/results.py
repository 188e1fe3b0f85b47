"""What is kept and said of a scored test set: its entry in results.json, tables, features, the printed lines."""

import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specvid.datasets.layouts.reid_set import ReidSet
from specvid.eval.reid.feature_files import save_features
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.protocols import MARS_PROTOCOLS, PROTOCOLS, NoMatchError
from specvid.eval.reid.rerank import KReciprocal
from specvid.eval.reid.result import ReidScore
from specvid.files import write_json
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid.features import TrackletFeatures, as_reid_features

_SAME = ("dataset", "source", "split", "checkpoint", "sampling", "rerank")
"""What makes two entries of results.json one evaluation: the same features, ranked in the same way."""


@dataclass(frozen=True)
class ReidScored:
    """One test set scored under some protocols.

    ``scores``: in the order asked for; ``failed``: {protocol: why it cannot be scored}; ``about``: where the features
    come from; ``rerank``: how they were ranked again; ``errors``: unreadable files; ``lost``: names of tracklets
    without any readable frame.
    """

    features: ReidFeatures
    scores: tuple[ReidScore, ...]
    failed: dict[str, str]
    about: dict[str, Any]
    rerank: KReciprocal | None = None
    errors: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where tracklets could not be read at all, or nothing could be scored; else 0."""
        return 1 if self.lost or not self.scores else 0


def published(protocol: str) -> tuple[str, ...]:
    """All protocols that the data set of ``protocol`` is published under: MARS's three, or itself."""
    return MARS_PROTOCOLS if protocol in MARS_PROTOCOLS else (protocol,)


def score_features(
    features: ReidFeatures, protocols: tuple[str, ...], **options: Any
) -> tuple[tuple[ReidScore, ...], dict[str, str]]:
    """The scores, and why there is none for the other protocols. ``options``: those of ``score_reid``."""
    scores, failed = [], {}
    for protocol in protocols:
        try:
            scores.append(features.score(protocol, **options))
        except NoMatchError as error:
            failed[protocol] = str(error)
    return tuple(scores), failed


def score_all(
    data: ReidSet, found: TrackletFeatures, *, checkpoint: str, sampling: str, protocols: tuple[str, ...] | None = None,
    rerank: KReciprocal | None = None, leaked: int = 0, elsewhere: bool = False,
) -> ReidScored:  # fmt: skip
    """Score the features of a test set; by default under all protocols that it is published under.

    ``leaked``: how many of its identities were trained on; ``elsewhere``: it is another set than the one trained on.
    """
    protocols = protocols or published(data.protocol)
    about = {
        "dataset": data.title, "elsewhere": elsewhere, "source": data.source if elsewhere else "",
        "whole": data.is_whole, "split": data.split, "splits": data.splits, "protocol": data.protocol,
        "checkpoint": checkpoint, "sampling": sampling, "trained_on": leaked,
    }  # fmt: skip
    features = as_reid_features(data, found.features, about)
    scores, failed = score_features(features, protocols, rerank=rerank)
    lost = tuple(data.test[row].name for row in found.lost)
    return ReidScored(features, scores, failed, about, rerank, tuple(found.errors), lost)


def entry_of(scored: ReidScored) -> dict[str, Any]:
    """The entry of results.json."""
    return {
        **scored.about,
        "rerank": str(scored.rerank or ""),
        "protocols": {score.protocol: score.as_dict() for score in scored.scores},
        "not_scored": scored.failed,
        "unreadable": list(scored.errors),
        "lost": list(scored.lost),
    }


def keep(run: RunFolder, scored: ReidScored) -> Path:
    """Writes the evaluation's folder in ``eval/`` and its entry of results.json, in the place of earlier ones of it.

    Protocols that only the earlier ones were scored under are scored again: no figure goes, and all are of one set of
    features.
    """
    results, entry = run.results(), entry_of(scored)
    earlier: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for old in results.get("evaluations", []):
        same = all(old.get(key, "") == entry[key] for key in _SAME)
        (earlier if same else others).append(old)
    scored = _with_protocols(scored, {name for old in earlier for name in (*old["protocols"], *old["not_scored"])})
    folder = run.path / "eval" / folder_name(scored)
    write_tables(folder, scored)
    run.write_results({**results, "evaluations": [*others, entry_of(scored)]})
    return folder


def _with_protocols(scored: ReidScored, protocols: set[str]) -> ReidScored:
    """``scored`` under ``protocols`` too."""
    missing = protocols - {score.protocol for score in scored.scores} - scored.failed.keys()
    scores, failed = score_features(scored.features, tuple(sorted(missing)), rerank=scored.rerank)
    in_order = sorted((*scored.scores, *scores), key=lambda score: list(PROTOCOLS).index(score.protocol))
    return replace(scored, scores=tuple(in_order), failed={**scored.failed, **failed})


def folder_name(scored: ReidScored) -> str:
    """``splitS-CHECKPOINT-SAMPLING[-on-DATASET][-reranked[-K1-K2-LAMBDA]]``: one for each evaluation of a run.

    Without ``on`` it is the data set that was trained on, without numbers the re-ranking of the paper. Own data, or
    parts of a published set, that have one title differ by a checksum of where they lie.
    """
    about, rerank = scored.about, scored.rerank
    name = f"split{about['split']}-{about['checkpoint']}-{about['sampling']}"
    if about["elsewhere"]:
        name += "-on-" + re.sub(r"[^\w.]+", "-", about["dataset"]).strip("-")
        name += f"-{zlib.crc32(about['source'].encode()):08x}" if about["source"] else ""
    if rerank:
        name += "-reranked"
        name += "" if rerank == KReciprocal() else f"-{rerank.k1}-{rerank.k2}-{rerank.lambda_value}"
    return name


def write_tables(folder: Path, scored: ReidScored, *, with_features: bool = True) -> None:
    """``results.json``, one ``queries-PROTOCOL.csv`` each, and ``features.parquet``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", entry_of(scored))
    names = None if scored.features.query_names is None else scored.features.query_names.tolist()
    for score in scored.scores:
        score.save_csv(folder / f"queries-{score.protocol}.csv", names=names)
    if with_features:
        save_features(folder / "features.parquet", scored.features)


def describe(title: str, scored: ReidScored, folder: Path | None = None) -> str:
    """All figures as text, each with its protocol, valid queries and gallery beside it."""
    about = scored.about
    lines = [title]
    if "dataset" in about:
        whole = (
            ""
            if about.get("trained_on", 0) == 0
            else f", NOT HONEST: {about['trained_on']} of its identities were trained on"
        )
        frames = {"all": "all frames in chunks", "even": "evenly spaced frames", "first": "first frame of each segment"}
        sampling = frames.get(str(about.get("sampling")), str(about.get("sampling")))
        lines = [
            f"{title}, {about.get('checkpoint')} epoch: {about['dataset']}, split {about['split']}, {sampling}{whole}"
        ]
    lines += [line for score in scored.scores for line in str(score).splitlines()]
    lines += [f"{protocol}: not scored, {why}" for protocol, why in scored.failed.items()]
    lines += [f"unreadable: {error}" for error in scored.errors[:10]]
    if len(scored.errors) > 10:
        lines.append(f"unreadable: {len(scored.errors) - 10} more chunks, see results.json")
    if scored.lost:
        lines.append(
            f"{len(scored.lost)} tracklets have no readable frame and are like nothing: {', '.join(scored.lost[:5])}"
        )
    if folder is not None:
        lines.append(f"per query, and features to score again: {folder}")
    return "\n  ".join(lines)
