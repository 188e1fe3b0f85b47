"""What the loop asks of a task: batches, a loss, a score; and what may watch it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from specvid.pipelines.engine.feed import TrainFeed

if TYPE_CHECKING:
    from specvid.pipelines.engine.state import TrainState

Batch = dict[str, Any]
"""What the feed yields: tensors with the clips in the first dimension, and ``"error"``: one string a clip, empty where
all is well, else a line for each file that could not be read (another clip stands in for it). Clips of video files also
have ``"repeated"``: likewise, why frames come more than once (a video shorter than its clip, lost frames), and
``"unusual"``: what is not as header or list announce."""


@dataclass(frozen=True)
class Selection:
    """What decides which epoch becomes ``best/``.

    Args:
        metric: a key of the epoch's line in metrics.jsonl.
        highest: the highest value is the best, else the lowest.
        reason: in words, for meta.json and the results, e.g. ``highest top-1 on the validation part (12 groups)``.
    """

    metric: str
    highest: bool
    reason: str

    def better(self, value: float, than: float | None) -> bool:
        """Compare two values of the metric.

        Args:
            value: a new one.
            than: the best so far, if there is one.

        Returns:
            Whether the new one is better.
        """
        return than is None or (value > than if self.highest else value < than)


class Task(Protocol):
    """One training task, as the loop sees it."""

    @property
    def feed(self) -> TrainFeed:
        """Batches of the train part."""

    @property
    def selection(self) -> Selection:
        """What decides which epoch becomes ``best/``."""

    @property
    def forward_methods(self) -> tuple[str, ...]:
        """Methods of the model other than ``forward`` that ``loss`` calls, e.g. ``embed``: they must pass DDP too."""

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch.

        Args:
            model: in training mode.
            batch: from the feed, on the device.

        Returns:
            The mean loss (a scalar), and figures to log, each a mean over the batch.
        """
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Score the validation part.

        Args:
            model: bare, in eval mode.

        Returns:
            Its figures, by their names in metrics.jsonl, the same in all processes; empty without such a part.
        """
        ...

    def meta(self) -> Mapping[str, Any]:
        """What must be known to use the weights later: classes, input ... JSON, for each checkpoint's meta.json."""


class Callback:
    """Watches a training, and may end it by ``state.stop()``.

    With several processes it is called in each of them, and must decide the same in all.
    """

    def on_step(self, state: "TrainState", figures: Mapping[str, float]) -> None:
        """Called after each optimiser step.

        Args:
            state: of the training; ``state.step`` counts from 1.
            figures: of this process in the epoch so far: ``loss``, ``clips_per_s``, ``wait_share``. The loss is one
                batch late, and NaN at the first step of an epoch.
        """

    def on_epoch(self, state: "TrainState", line: Mapping[str, Any]) -> None:
        """Called after each epoch, when it is scored and saved.

        Args:
            state: of the training.
            line: of the epoch, as in metrics.jsonl.
        """
