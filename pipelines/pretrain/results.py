"""What a representation is like, without any label: how far it spreads, and whether twins are recognised."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specvid.files import write_json
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.pretrain.data import PretrainLists
from specvid.text import counted

COLLAPSED = {"spread": 0.05, "dimensions": 2.0}
"""Where an embedding counts as collapsed: below one of these."""

STUCK = 0.05
"""Least share of the first epoch's loss by which the last one is to be lower."""

_SAME = ("dataset", "source", "split", "checkpoint")


@dataclass(frozen=True)
class Representation:
    """What embeddings of pairs of clips are like.

    Attributes:
        spread: standard deviation of each dimension of the embeddings of unit length, mean over the dimensions, times
            the root of their number: 1 where they point everywhere alike, 0 where all are one (Chen and He, SimSiam,
            arXiv:2011.10566, section 4.1).
        dimensions: effective rank, exp of the entropy of the eigenvalues of their covariance: so many dimensions of
            equal strength (Roy and Vetterli, EUSIPCO 2007; Garrido et al., arXiv:2210.02885).
        correlation: mean magnitude of the correlation between two dimensions.
        twin_top1: share of clips whose nearest one among all second twins is their own.
    """

    spread: float
    dimensions: float
    correlation: float
    twin_top1: float

    @classmethod
    def of(cls, embeddings: np.ndarray) -> "Representation":
        """Measure embeddings.

        Args:
            embeddings: (N, 2, E), of the twins of N clips.

        Returns:
            What they are like.

        Raises:
            ValueError: they are not finite.
        """
        x = np.asarray(embeddings, dtype=np.float64)
        if not np.isfinite(x).all():
            raise ValueError("the model's embeddings are not finite: the training diverged, or --precision is too low")
        unit = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
        every = unit.reshape(-1, x.shape[-1])
        covariance = np.cov(every, rowvar=False).reshape(x.shape[-1], x.shape[-1])
        variance = np.clip(np.diag(covariance), 0, None)
        eigenvalues = np.clip(np.linalg.eigvalsh(covariance), 0, None)
        shares = eigenvalues / max(eigenvalues.sum(), 1e-300)
        shares = shares[shares > 0]
        alive = variance > 1e-12 * max(variance.max(), 1e-300)
        scale = np.sqrt(variance[alive])
        beside = np.abs(covariance[np.ix_(alive, alive)] / np.outer(scale, scale))[~np.eye(len(scale), dtype=bool)]
        nearest = (unit[:, 0] @ unit[:, 1].T).argmax(axis=1)
        return cls(
            spread=float(np.sqrt(variance).mean() * np.sqrt(x.shape[-1])),
            dimensions=float(np.exp(-(shares * np.log(shares)).sum())),
            correlation=float(beside.mean()) if len(beside) else 0.0,
            twin_top1=float((nearest == np.arange(len(x))).mean()),
        )

    @property
    def is_collapsed(self) -> bool:
        """Whether all clips have nearly the same embedding, or differ in one way only."""
        return any(getattr(self, name) < least for name, least in COLLAPSED.items())


@dataclass(frozen=True)
class PretrainResult:
    """What a training without labels ended with.

    Args:
        lists: what it learned of.
        representation: of the network, in evaluation mode, on augmented twins.
        measured: number of clips that were measured.
        embedding_dim: E.
        errors: the files that could not be read while they were measured.
    """

    lists: PretrainLists
    representation: Representation
    measured: int
    embedding_dim: int
    errors: list[str] = field(default_factory=list)

    def entry(self) -> dict[str, Any]:
        """The figures, for results.json."""
        found = self.representation
        return {
            "dataset": self.lists.title,
            "source": self.lists.source,
            "split": self.lists.split,
            "checkpoint": "last",
            "listed": len(self.lists),
            "scored": self.measured,
            "embedding_dim": self.embedding_dim,
            "twin_top1": found.twin_top1,
            "spread": found.spread,
            "dimensions": found.dimensions,
            "dimensions_used": found.dimensions / self.embedding_dim,
            "correlation": found.correlation,
            "collapsed": found.is_collapsed,
            "unreadable": self.errors,
        }

    def save(self, run: RunFolder) -> Path:
        """Write ``eval/representation/`` of a run, and its entry of results.json; warn of a collapse.

        Args:
            run: the run.

        Returns:
            The folder.
        """
        folder = run.evaluation("representation")
        write_json(folder / "results.json", self.entry())
        run.write_evaluation(self.entry(), _SAME)
        for warning in self.warnings(run):
            log.warning(warning)
        return folder

    def warnings(self, run: RunFolder) -> list[str]:
        """What speaks against using it.

        Args:
            run: the run, with its lines.

        Returns:
            Sentences; none where all is well.
        """
        found, warnings = self.representation, []
        if found.is_collapsed:
            warnings.append(
                f"the representation collapsed: its spread is {found.spread:.3f}, in {found.dimensions:.1f} of "
                f"{self.embedding_dim} dimensions, so clips hardly differ. Lower --lr, add --warmup, or raise "
                "--batch-size."
            )
        losses = [line["loss"] for line in run.lines()]
        if len(losses) > 1 and losses[-1] > (1 - STUCK) * losses[0]:
            warnings.append(
                f"the loss hardly fell, from {losses[0]:.4g} in the first epoch to {losses[-1]:.4g} in the last: this "
                "training learned little. Raise --epochs or --lr."
            )
        return warnings

    def describe(self, title: str, folder: Path | None = None) -> str:
        """The figures as text.

        Args:
            title: what was trained.
            folder: where they are saved.

        Returns:
            Several lines.
        """
        found = self.representation
        lines = [
            f"{title}, last epoch: {self.lists.title}, {counted(self.measured, 'clip')} measured",
            f"twins recognised {100 * found.twin_top1:.2f} % (by chance {100 / self.measured:.2f} %)",
            f"embedding: spread {found.spread:.3f} (0 collapsed, 1 even), {found.dimensions:.1f} of "
            f"{self.embedding_dim} dimensions, correlation between them {found.correlation:.3f}",
            *(f"unreadable: {error}" for error in self.errors[:10]),
        ]
        if folder is not None:
            weights = folder.parents[1] / "last" / "model.safetensors"
            lines.append(f"go on with --weights {weights} (specvid train action|reid, embed), or --run {title} (embed)")
        return "\n  ".join(lines)
