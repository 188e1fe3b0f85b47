"""What TensorBoard and Weights & Biases get of a training: charts by groups, test figures, settings, pictures.

    train/loss, train/lr                         each step (the loss of the batch before it: it is read one batch late)
    train/epoch_loss, train/epoch_accuracy, ...  each epoch, means over it
    val/...                                      each epoch that is scored
    speed/clips_per_s, speed/wait_share          each step, of the epoch so far; speed/epoch_... each epoch
    test/...                                     once, with pictures such as the confusion matrix, and HPARAMS

Counters (unreadable clips and the like) have a chart only once they are not zero.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specvid.config import to_dict

_NO_CHART = {"epoch", "step", "clips", "lr"}  # the axis itself, what never changes, and what each step says
_COUNTERS = {"unreadable", "repeated", "unusual", "val_unreadable"}
_SPEEDS = ("clips_per_s", "wait_share")


class Board:
    """Writes the event files of a run, and sends the same to Weights & Biases.

    Args:
        folder: of the run.
        start: the step after which points of an earlier, interrupted training are dropped; None where none are.
        tensorboard: whether to write event files.
        wandb: whether to send to Weights & Biases.

    Raises:
        ValueError: Weights & Biases cannot start.
    """

    def __init__(
        self, folder: Path, *, start: int | None = None, tensorboard: bool = True, wandb: bool = False
    ) -> None:
        self._writer: Any = None
        self._wandb = _open_wandb(folder) if wandb else None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            purge = None if start is None else start + 1
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
        self._counted: set[str] = set()

    def step(self, step: int, now: Mapping[str, float]) -> None:
        """Write the points of a step.

        Args:
            step: that is done.
            now: figures of the epoch so far; ``batch_loss`` and ``lr`` are of this step.
        """
        points = {"train/loss": now["batch_loss"], "train/lr": now["lr"]}
        if math.isfinite(now["batch_loss"]):  # else nothing of this epoch has been read yet
            points |= {f"speed/{name}": now[name] for name in _SPEEDS}
        self._add(points, step)

    def epoch(self, line: Mapping[str, Any], speed: Mapping[str, Any]) -> None:
        """Write the points of an epoch.

        Args:
            line: of metrics.jsonl.
            speed: of speed.jsonl.
        """
        self._counted |= {name for name in _COUNTERS if line.get(name)}
        points = {}
        for name, value in line.items():
            if name in _NO_CHART or name in _COUNTERS - self._counted or not isinstance(value, int | float):
                continue
            points[f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/epoch_{name}"] = value
        self._add(points | {f"speed/epoch_{name}": value for name, value in speed.items()}, line["step"])
        if self._writer is not None:
            self._writer.flush()

    def test(self, entry: Mapping[str, Any], config: Any, step: int, pictures: Path) -> None:
        """Write the test figures, the settings beside them, and the pictures of the evaluation.

        Args:
            entry: of results.json.
            config: all settings of the training.
            step: at which it ended.
            pictures: folder with PNG files, named after what they show.
        """
        figures = dict(_figures(entry))
        self._add({f"test/{name}": value for name, value in figures.items()}, step)
        for path in sorted(pictures.glob("*.png")):
            self._picture(f"test/{path.stem}", path, step)
        settings = dict(_settings(to_dict(config)))
        if self._writer is not None:
            scores = {f"hparam/{name}": value for name, value in figures.items()}
            self._writer.add_hparams(settings, scores, run_name=".", global_step=step)
        if self._wandb is not None:
            self._wandb.config.update(settings, allow_val_change=True)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.finish()

    def _add(self, points: Mapping[str, Any], step: int) -> None:
        known = {tag: x for tag, x in points.items() if isinstance(x, int | float) and math.isfinite(x)}
        if self._writer is not None:
            for tag, value in known.items():
                self._writer.add_scalar(tag, value, step)
        if self._wandb is not None and known:
            self._wandb.log(known, step=step)

    def _picture(self, tag: str, path: Path, step: int) -> None:
        import cv2

        picture = cv2.imread(str(path))
        if picture is not None and self._writer is not None:
            self._writer.add_image(tag, picture[..., ::-1].copy(), step, dataformats="HWC")
        if picture is not None and self._wandb is not None:
            import wandb

            self._wandb.log({tag: wandb.Image(str(path))}, step=step)


def _open_wandb(folder: Path) -> Any:
    """The run of Weights & Biases of that name, which goes on where there is one."""
    import wandb

    name = folder.name
    try:
        return wandb.init(project="specvid", name=name, id=name, dir=str(folder), resume="allow")
    except wandb.errors.Error as error:
        fix = "Run `wandb login`, set WANDB_MODE=offline, or leave out --wandb."
        raise ValueError(f"wandb cannot start: {str(error).rstrip('.')}. {fix}") from error


def _figures(entry: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of an evaluation, those of each protocol under its name; no counts."""
    for name, value in entry.items():
        if isinstance(value, float):
            yield name, value
    for protocol, score in (entry.get("protocols") or {}).items():
        for name, value in score.items():
            if isinstance(value, float):
                yield f"{protocol}/{name}", value


def _settings(config: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """All settings by their path, in what TensorBoard takes."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{start}{name}.")
        elif value is not None:
            yield f"{start}{name}", value if isinstance(value, bool | int | float | str) else str(value)
