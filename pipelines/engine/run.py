"""The folder of a run: settings, figures of each epoch, results, and the checkpoints last/ and best/."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from specvid import __version__
from specvid.config import to_dict
from specvid.files import (
    check_links,
    current,
    naming,
    only_writer,
    recover,
    recovered,
    replacing_folder,
    write_json,
    write_text,
)
from specvid.models.weights import save_weights
from specvid.models.weights.read import read_weights
from specvid.pipelines.engine.config import TrainingConfig
from specvid.pipelines.engine.environment import describe_environment
from specvid.reading import parse_json, read_json, read_plain, require_plain_files
from specvid.torchfile import load_plain

WEIGHTS, META, STATE = "model.safetensors", "meta.json", "training.pt"
METRICS, SPEED = "metrics.jsonl", "speed.jsonl"
_STATE_HAS = ("step", "rate", "best", "optimizer", "schedule", "scaler", "raw", "generators", "meters")
_ANEW = "Start anew with another --name; --weights takes those of last/ along."


class RunFolder:
    """Reads and writes one run.

    ``last/`` and ``best/`` hold weights (safetensors) and meta (JSON); ``last/`` also what only continuing needs.

    Args:
        path: the folder; it need not be there yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def started(self) -> bool:
        """Whether a training was started in it."""
        return (self.path / "config.json").exists()

    def config(self) -> dict[str, Any]:
        """Read config.json.

        Returns:
            All settings, with ``task`` and the version ``specvid``.

        Raises:
            ValueError: there is none: the folder is no run; or a device or pipe lies in it.
        """
        path = self.path / "config.json"
        if not path.is_file():
            raise ValueError(
                f"run {str(self.path)!r} is no folder of a run: it has no config.json. "
                "Give a folder that `specvid train` wrote, e.g. runs/NAME."
            )
        require_plain_files(self.path)
        return read_json(path, fix="Put a copy of it there, or remove the folder of the run and train again.")

    def start(self, config: Mapping[str, Any]) -> None:
        """Create the folder, and write config.json.

        Args:
            config: its content.
        """
        write_json(self.path / "config.json", config)

    def recover(self) -> None:
        """Finish what a killed training left half written. Only the process that writes the run may call it."""
        for which in ("last", "best"):
            recover(self.path / which)

    def append(self, line: Mapping[str, Any], speed: Mapping[str, Any]) -> None:
        """Add an epoch's lines to metrics.jsonl and speed.jsonl.

        Args:
            line: the epoch's figures: the same whenever it is trained, so that two runs can be compared with ``cmp``.
            speed: how fast it was.
        """
        about = {name: line[name] for name in ("epoch", "step")}
        for name, content in ((SPEED, {**about, **speed}), (METRICS, line)):
            path = self.path / name
            with naming(path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(content, ensure_ascii=False) + "\n")

    def lines(self, name: str = METRICS) -> list[dict[str, Any]]:
        """Read metrics.jsonl or speed.jsonl.

        Args:
            name: which.

        Returns:
            A line for each epoch; a last one cut off by a kill is left out.
        """
        path, lines = self.path / name, []
        for text in read_plain(path).splitlines() if path.exists() else []:
            try:
                lines.append(parse_json(text))
            except ValueError:
                break
        return lines

    def forget_epochs_from(self, epoch: int) -> None:
        """Remove the lines of epochs that a continued training will do again, or go on with.

        Args:
            epoch: the first of them.
        """
        for name in (METRICS, SPEED):
            lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines(name) if line["epoch"] < epoch]
            write_text(self.path / name, "".join(lines))

    def results(self) -> dict[str, Any]:
        """Read results.json; empty where nothing was scored yet."""
        path = self.path / "results.json"
        return read_json(path) if path.exists() else {}

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json.

        Args:
            results: its content.
        """
        write_json(self.path / "results.json", results)

    def write_training(
        self, config: TrainingConfig, *, parameters: int, best_is: str, blocks: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Add to results.json what was trained, and how.

        Args:
            config: all settings.
            parameters: of the network.
            best_is: what selected ``best/``.
            blocks: where the gates of its blocks stand, and what they add.
        """
        lines = self.lines()
        training = {
            "epochs": config.train.epochs,
            "steps": lines[-1]["step"],
            "seconds": round(sum(line["seconds"] for line in self.lines(SPEED)), 1),
            "parameters": parameters,
            "best_is": best_is,
            "blocks": [dict(block) for block in blocks],
            "environment": describe_environment(),
            "last_line": lines[-1],
        }
        about = {"specvid": __version__, "task": config.task, "run": self.name, "config": to_dict(config)}
        with self._only_writer_of_results():
            self.write_results({**self.results(), **about, "training": training})

    def evaluations_like(self, entry: Mapping[str, Any], keys: Sequence[str]) -> list[dict[str, Any]]:
        """The earlier entries of results.json that are of the same evaluation.

        Args:
            entry: of a new one.
            keys: what must be equal in both.

        Returns:
            The entries.
        """
        return [old for old in self.results().get("evaluations", []) if _alike(old, entry, keys)]

    def evaluation(self, name: str) -> Path:
        """Where the files of an evaluation go.

        Args:
            name: of the evaluation.

        Returns:
            A folder in ``eval/``.

        Raises:
            ValueError: a link in the run leads out of it.
        """
        check_links(self.path)
        return self.path / "eval" / name

    def write_evaluation(self, entry: Mapping[str, Any], keys: Sequence[str]) -> None:
        """Add an evaluation to results.json, in the place of earlier ones of the same kind.

        Args:
            entry: its figures, with all that must stand beside them.
            keys: what makes two entries one evaluation, where it is equal in both.
        """
        with self._only_writer_of_results():
            results = self.results()
            others = [old for old in results.get("evaluations", []) if not _alike(old, entry, keys)]
            self.write_results({**results, "evaluations": [*others, dict(entry)]})

    def _only_writer_of_results(self) -> AbstractContextManager[object]:
        """Between reading and writing results.json nobody else does: evaluations may run at the same time."""
        return only_writer(self.path / "eval", seconds=60)

    def save(
        self, which: str, model: nn.Module, meta: Mapping[str, Any], state: Mapping[str, Any] | None = None
    ) -> None:
        """Replace a checkpoint in one go.

        Args:
            which: ``last`` or ``best``.
            model: its weights are saved.
            meta: what must be known to use them.
            state: what must be known to continue.

        Raises:
            OSError: the disk is full, or may not be written.
        """
        fix = "start again: the checkpoint before it stands, --resume auto continues"
        with replacing_folder(self.path / which, fix=fix) as folder:
            save_weights(model, folder / WEIGHTS)
            write_json(folder / META, meta)
            if state is not None:
                torch.save(_unshared(dict(state)), folder / STATE)

    def checkpoint(self, which: str) -> Path:
        """Find a checkpoint.

        Args:
            which: ``last`` or ``best``.

        Returns:
            Its folder.

        Raises:
            ValueError: it is not there.
        """
        folder = current(self.path / which)
        if not (folder / META).is_file():
            there = [name for name in ("last", "best") if (current(self.path / name) / META).is_file()]
            has = ", ".join(there) or "none yet (no epoch is complete)"
            raise ValueError(f"run {str(self.path)!r} has no checkpoint {which!r}. It has: {has}.")
        return folder

    def meta(self, which: str) -> dict[str, Any]:
        """Read what must be known to use a checkpoint.

        Args:
            which: ``last`` or ``best``.

        Returns:
            Its meta.json.
        """
        fix = f"Put a copy of the whole folder {which} there, or train again."
        return read_json(self.checkpoint(which) / META, fix=fix)

    def steps_to_continue_from(self) -> int:
        """Steps of the checkpoint that a restart would continue from; 0 where there is none, or none to be read."""
        try:
            return int(read_json(recovered(self.path / "last") / META)["steps"])
        except (ValueError, OSError, KeyError):
            return 0

    def load_model(self, which: str, model: nn.Module, *, without: Sequence[str] = ()) -> None:
        """Load a checkpoint's weights, tensor by tensor.

        Args:
            which: ``last`` or ``best``.
            model: the very model that was saved.
            without: its submodules that only the training had, whose tensors are left out.

        Raises:
            ValueError: it is another one; the first difference is named.
        """
        path = self.checkpoint(which) / WEIGHTS
        left_out = tuple(f"{name}." for name in without)
        saved = {name: tensor for name, tensor in read_weights(path).items() if not name.startswith(left_out)}
        own = model.state_dict()
        missing, extra = own.keys() - saved.keys(), saved.keys() - own.keys()
        wrong = [f"{len(missing)} tensors are missing, e.g. {min(missing)}"] if missing else []
        wrong += [f"{len(extra)} are unknown, e.g. {min(extra)}"] if extra else []
        for name in own.keys() & saved.keys():
            if own[name].shape != saved[name].shape and len(wrong) < 3:
                wrong.append(f"{name} is {tuple(saved[name].shape)}, not {tuple(own[name].shape)}")
        if wrong:
            raise ValueError(
                f"checkpoint {str(path)!r} is of another model: {'; '.join(wrong)}. "
                "Use the run's own config.json, or --weights to start from what fits."
            )
        model.load_state_dict(saved)

    def load_state(self) -> dict[str, Any] | None:
        """What ``last/`` holds to continue with; None where there is none yet.

        Raises:
            ValueError: the file is damaged, holds more than tensors and plain values, or is none of a training.
        """
        path = self.path / "last" / STATE
        if not path.exists():
            return None
        try:
            state = load_plain(path)
        except Exception as error:  # of many kinds, whatever the damage hits
            cause = (str(error) or type(error).__name__).splitlines()[0][:160]
            raise ValueError(
                f"{str(path)!r} cannot be read ({cause}): it is damaged, or was altered. {_ANEW}"
            ) from None
        missing = [name for name in _STATE_HAS if not isinstance(state, dict) or name not in state]
        if missing:
            raise ValueError(f"{str(path)!r} is no state of a training: it has no {missing[0]!r}. {_ANEW}")
        return state


def _unshared(value: Any) -> Any:
    """The same value, of which a pickle depends on nothing else: it also tells which parts are one object, and those of
    a continued training are others than those of one that was not interrupted.
    """
    if type(value) is str:
        return sys.intern(value)
    if type(value) is dict:
        return {_unshared(key): _unshared(own) for key, own in value.items()}
    return type(value)(map(_unshared, value)) if type(value) in (list, tuple) else value


def _alike(old: Mapping[str, Any], new: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether two entries are of one evaluation."""
    return all(old.get(key, "") == new.get(key, "") for key in keys)
