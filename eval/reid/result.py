"""Result of scoring re-identification: the figures, the protocol that they belong to, and the ranks of every query."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specvid.eval.reid.protocols import get_protocol
from specvid.files import replacing_file, write_text
from specvid.text import csv_cell

CMC_LENGTH = 50
PRINTED_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True, eq=False)
class ReidScore:
    """Score of one gallery.

    Figures are fractions (0 to 1); arrays over the queries have NaN or 0 where a query has no match.

    Attributes:
        protocol: name of the protocol.
        mAP: mean average precision over the valid queries.
        mINP: mean inverse negative penalty: matches / rank of the last match (Ye et al. 2021, equation 8).
        cmc: (50,) ``cmc[k - 1]`` = share of the valid queries with a match among the first k.
        queries: number of queries given.
        valid_queries: number of queries with a match; only they are scored.
        gallery_tracklets: number of tracklets in the protocol's gallery.
        junk_tracklets: how many of them are ignored for their identity.
        left_out_queries: gallery tracklets that the protocol left out because they are queries.
        left_out_junk: gallery tracklets that the protocol left out for their identity.
        metric: ``cosine`` or ``euclidean``.
        rerank: the re-ranking in words, "" without.
        ap: (Q,) average precision of each query, NaN without a match.
        inp: (Q,) inverse negative penalty, NaN without a match.
        first_rank: (Q,) rank of the first match from 1, 0 without a match.
        last_rank: (Q,) rank of the last match.
        matches: (Q,) number of correct matches in the gallery.
        query_ids: (Q,) identities as given.
        query_cams: (Q,) cameras as given.
    """

    protocol: str
    mAP: float
    mINP: float
    cmc: np.ndarray = field(repr=False)
    queries: int
    valid_queries: int
    gallery_tracklets: int
    junk_tracklets: int
    left_out_queries: int
    left_out_junk: int
    metric: str
    rerank: str
    ap: np.ndarray = field(repr=False)
    inp: np.ndarray = field(repr=False)
    first_rank: np.ndarray = field(repr=False)
    last_rank: np.ndarray = field(repr=False)
    matches: np.ndarray = field(repr=False)
    query_ids: np.ndarray = field(repr=False)
    query_cams: np.ndarray = field(repr=False)

    def rank(self, k: int) -> float:
        """CMC at a rank: the share of valid queries with a match among the first ``k`` items that count.

        Args:
            k: the rank, from 1.

        Raises:
            ValueError: ``k`` below 1.
        """
        if k < 1:
            raise ValueError(f"rank {k} does not exist; ranks start at 1")
        return float((self.first_rank[self.matches > 0] <= k).mean())

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON-able numbers, without the per-query part."""
        return {
            "protocol": self.protocol,
            "about": get_protocol(self.protocol).about,
            "mAP": self.mAP,
            "mINP": self.mINP,
            **{f"rank{k}": self.rank(k) for k in PRINTED_RANKS},
            "cmc": [float(value) for value in self.cmc],
            "queries": self.queries,
            "valid_queries": self.valid_queries,
            "gallery_tracklets": self.gallery_tracklets,
            "junk_tracklets": self.junk_tracklets,
            "left_out_queries": self.left_out_queries,
            "left_out_junk": self.left_out_junk,
            "metric": self.metric,
            "rerank": self.rerank,
        }

    def per_query(self, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """One row for each query: number, name if given, identity, camera, matches, AP, INP, first and last rank.

        Args:
            names: (Q,) what each query is.
        """
        rows: list[dict[str, Any]] = []
        for i in range(self.queries):
            valid = bool(self.matches[i] > 0)
            rows.append(
                {
                    "query": i,
                    **({} if names is None else {"name": str(names[i])}),
                    "id": self.query_ids[i].item(),
                    "camera": self.query_cams[i].item(),
                    "matches": int(self.matches[i]),
                    "ap": float(self.ap[i]) if valid else None,
                    "inp": float(self.inp[i]) if valid else None,
                    "first_rank": int(self.first_rank[i]) if valid else None,
                    "last_rank": int(self.last_rank[i]) if valid else None,
                }
            )
        return rows

    def save_json(self, path: str | Path, names: Sequence[str] | None = None) -> None:
        """Write the figures and the rows of ``per_query`` as JSON.

        Args:
            path: the file.
            names: (Q,) what each query is.
        """
        content = {**self.as_dict(), "per_query": self.per_query(names)}
        write_text(path, json.dumps(content, indent=1) + "\n")

    def save_csv(self, path: str | Path, names: Sequence[str] | None = None) -> None:
        """Write the rows of ``per_query`` as CSV with a header; the first column is the protocol.

        Args:
            path: the file.
            names: (Q,) what each query is.
        """
        rows = [{"protocol": self.protocol, **row} for row in self.per_query(names)]
        rows = [{column: csv_cell(value) for column, value in row.items()} for row in rows]
        with (
            replacing_file(path) as staging,
            staging.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def __str__(self) -> str:
        figures = [f"mAP {100 * self.mAP:.2f}", f"mINP {100 * self.mINP:.2f}"]
        figures += [f"rank-{k} {100 * self.rank(k):.2f}" for k in PRINTED_RANKS]
        gallery = f"{self.gallery_tracklets:,} gallery tracklets"
        if self.junk_tracklets:
            gallery += f" ({self.junk_tracklets:,} of them junk)"
        if get_protocol(self.protocol).leaves_out_queries:
            gallery += f" (left out: {self.left_out_queries:,} queries, {self.left_out_junk:,} junk)"
        extra = f", {self.rerank}" if self.rerank else ""
        return (
            f"{self.protocol}: {'  '.join(figures)}\n"
            f"    {self.valid_queries:,} of {self.queries:,} queries valid, {gallery}, {self.metric}{extra}\n"
            f"    {get_protocol(self.protocol).about}"
        )


@dataclass(frozen=True, eq=False)
class SplitScore:
    """Mean over the splits of a data set. Deviations are those of a sample (n - 1); 0 for a single split.

    Attributes:
        splits: the score of each split.
    """

    splits: tuple[ReidScore, ...]

    @property
    def protocol(self) -> str:
        """Name of the protocol of all splits."""
        return self.splits[0].protocol

    @property
    def mAP(self) -> float:
        """Mean of the splits' mAP."""
        return float(np.mean([score.mAP for score in self.splits]))

    @property
    def mINP(self) -> float:
        """Mean of the splits' mINP."""
        return float(np.mean([score.mINP for score in self.splits]))

    @property
    def cmc(self) -> np.ndarray:
        """(50,) mean of the splits' CMC."""
        return np.mean([score.cmc for score in self.splits], axis=0)

    def rank(self, k: int) -> float:
        """Mean CMC at a rank.

        Args:
            k: the rank, from 1.
        """
        return float(np.mean([score.rank(k) for score in self.splits]))

    def deviation(self, figure: str = "mAP", k: int = 1) -> float:
        """Standard deviation over the splits.

        Args:
            figure: ``mAP``, ``mINP`` or ``rank``.
            k: the rank, for ``rank``.

        Raises:
            ValueError: another figure.
        """
        if figure not in ("mAP", "mINP", "rank"):
            raise ValueError(f"figure {figure!r} is unknown; choose mAP, mINP or rank")
        values = [score.rank(k) if figure == "rank" else getattr(score, figure) for score in self.splits]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Means, deviations and the figures of each split as JSON-able numbers."""
        figures = {name: (getattr(self, name), self.deviation(name)) for name in ("mAP", "mINP")}
        figures |= {f"rank{k}": (self.rank(k), self.deviation("rank", k)) for k in PRINTED_RANKS}
        return {
            "protocol": self.protocol,
            "about": get_protocol(self.protocol).about,
            **{name: mean for name, (mean, _) in figures.items()},
            **{f"{name}_deviation": deviation for name, (_, deviation) in figures.items()},
            "splits": [score.as_dict() for score in self.splits],
        }

    def __str__(self) -> str:
        figures = [f"mAP {100 * self.mAP:.2f} ± {100 * self.deviation():.2f}"]
        figures += [f"rank-{k} {100 * self.rank(k):.2f} ± {100 * self.deviation('rank', k):.2f}" for k in PRINTED_RANKS]
        published = get_protocol(self.protocol).splits
        suffix = "" if len(self.splits) == published else f" (published figures average {published})"
        return f"{self.protocol}: {'  '.join(figures)}\n    mean ± deviation of {len(self.splits)} splits{suffix}"


def over_splits(scores: Sequence[ReidScore]) -> SplitScore:
    """Mean and deviation over the splits of a data set (iLIDS-VID and PRID-2011: ten).

    Args:
        scores: the score of each split.

    Raises:
        ValueError: no score, or scores of different protocols.
    """
    if not scores:
        raise ValueError("there is no split to average; give the score of each split")
    names = sorted({score.protocol for score in scores})
    if len(names) > 1:
        raise ValueError(
            f"the splits were scored under different protocols ({', '.join(names)}); their mean would be no figure of "
            f"either"
        )
    return SplitScore(splits=tuple(scores))
