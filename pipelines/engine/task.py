"""What the loop asks of a task: batches, a loss, a score. Every task comes in through this door."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from specvid.pipelines.engine.feed import TrainFeed

Batch = dict[str, Any]
"""What the feed yields: tensors with the clips in the first dimension, and ``"error"``: one string a clip, empty where
all is well, else a line for each file that could not be read (another clip stands in for it). Clips of video files also
have ``"short"``: likewise, of a video shorter than its clip, which therefore gives frames more than once."""


@dataclass(frozen=True)
class Selection:
    """What decides which epoch becomes ``best/``: a key of the epoch's line in metrics.jsonl."""

    metric: str
    highest: bool
    reason: str
    """In words, for meta.json and the results: "highest top-1 on the validation part (12 groups of the train list)"."""

    def better(self, value: float, than: float | None) -> bool:
        return than is None or (value > than if self.highest else value < than)


class Task(Protocol):
    """One training task."""

    @property
    def feed(self) -> TrainFeed: ...

    @property
    def selection(self) -> Selection: ...

    @property
    def forward_methods(self) -> tuple[str, ...]:
        """Methods of the model other than ``forward`` that ``loss`` calls, e.g. ``embed``: they must pass DDP too."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a batch (a scalar) and figures to log, each a mean over the batch."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures of the validation part, by the names they get in metrics.jsonl; ``{}`` where there is none.

        All processes get the same.
        """
        ...

    def meta(self) -> Mapping[str, Any]:
        """What must be known to use the weights later: classes, input ... JSON, for each checkpoint's meta.json."""
        ...
