"""What is kept and said of a scored test set: its entry in results.json, tables, features, the printed lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.datasets.reid_set import ReidSet
from specvid.eval.feature_files import ReidFeatures, save_features
from specvid.eval.protocols import MARS_PROTOCOLS, NoMatchError
from specvid.eval.reid import ReidScore
from specvid.eval.rerank import KReciprocal
from specvid.pipelines.engine.checkpoint import write_json
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.reid_embed import TrackletFeatures, as_reid_features


@dataclass(frozen=True)
class ReidScored:
    """One test set scored under some protocols.

    ``scores``: in the order asked for; ``failed``: {protocol: why it cannot be scored}; ``about``: where the features
    come from; ``errors``: unreadable files; ``lost``: names of tracklets without any readable frame.
    """

    features: ReidFeatures
    scores: tuple[ReidScore, ...]
    failed: dict[str, str]
    about: dict[str, Any]
    errors: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where tracklets could not be read at all, or nothing could be scored; else 0."""
        return 1 if self.lost or not self.scores else 0


def protocols_for(protocol: str, *, every: bool) -> tuple[str, ...]:
    """``protocol``, or with ``every`` all that the same data set is published under (MARS's three)."""
    return MARS_PROTOCOLS if every and protocol in MARS_PROTOCOLS else (protocol,)


def score_features(
    features: ReidFeatures, protocols: tuple[str, ...], *, rerank: KReciprocal | None = None
) -> tuple[tuple[ReidScore, ...], dict[str, str]]:
    """The scores, and why there is none for the other protocols. With one protocol its ``NoMatchError`` is raised."""
    scores, failed = [], {}
    for protocol in protocols:
        try:
            scores.append(features.score(protocol, rerank=rerank))
        except NoMatchError as error:
            if len(protocols) == 1:
                raise
            failed[protocol] = str(error)
    return tuple(scores), failed


def score_all(
    data: ReidSet, found: TrackletFeatures, *, checkpoint: str, sampling: str, protocols: tuple[str, ...] | None = None,
    rerank: KReciprocal | None = None, leaked: int = 0,
) -> ReidScored:  # fmt: skip
    """Score the features of a test set; by default under all protocols that it is published under."""
    protocols = protocols or protocols_for(data.protocol, every=True)
    about = {
        "dataset": data.title, "whole": data.is_whole, "split": data.split, "splits": data.splits,
        "protocol": data.protocol,
        "checkpoint": checkpoint, "sampling": sampling, "trained_on": leaked,
    }  # fmt: skip
    features = as_reid_features(data, found.features, about)
    scores, failed = score_features(features, protocols, rerank=rerank)
    lost = tuple(data.test[row].name for row in found.lost)
    return ReidScored(features, scores, failed, about, tuple(found.errors), lost)


def entry_of(scored: ReidScored) -> dict[str, Any]:
    """The entry of results.json."""
    rerank = scored.scores[0].rerank if scored.scores else ""
    return {
        **scored.about,
        "rerank": rerank,
        "protocols": {score.protocol: score.as_dict() for score in scored.scores},
        "not_scored": scored.failed,
        "unreadable": list(scored.errors),
        "lost": list(scored.lost),
    }


def keep(run: RunFolder, scored: ReidScored) -> Path:
    """Writes ``eval/splitS-CHECKPOINT-SAMPLING[-reranked]/`` and the entry of results.json (replacing the same one)."""
    entry = entry_of(scored)
    name = f"split{entry['split']}-{entry['checkpoint']}-{entry['sampling']}" + ("-reranked" if entry["rerank"] else "")
    folder = run.path / "eval" / name
    write_tables(folder, scored)
    results = run.results()
    same = ("dataset", "split", "checkpoint", "sampling", "rerank")
    others = [old for old in results.get("evaluations", []) if any(old.get(key) != entry[key] for key in same)]
    run.write_results({**results, "evaluations": [*others, entry]})
    return folder


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
            else f", NOT HONEST: {about['trained_on']} of its people were trained on"
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
