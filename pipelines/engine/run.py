"""The folder of a run: config.json, metrics.jsonl, results.json, checkpoints last/ and best/, log.txt, tensorboard/."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from specvid import __version__
from specvid.config import to_dict
from specvid.files import current, recover, replacing_folder, write_json, write_text
from specvid.models.weights import save_weights

WEIGHTS, META, STATE = "model.safetensors", "meta.json", "training.pt"


class RunFolder:
    """Reads and writes one run.

    ``last/`` and ``best/`` hold weights (safetensors) and meta (JSON); ``last/`` also what only continuing needs.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def started(self) -> bool:
        return (self.path / "config.json").exists()

    def config(self) -> dict[str, Any]:
        """The run's config.json. Raises ValueError where there is none."""
        path = self.path / "config.json"
        if not path.is_file():
            raise ValueError(
                f"run {str(self.path)!r} is no folder of a run: it has no config.json. "
                "Give a folder that `specvid train` wrote, e.g. runs/NAME."
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def start(self, config: Mapping[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "config.json", config)

    def recover(self) -> None:
        """Finish what a killed training left half written. Only the process that writes the run may call it."""
        for which in ("last", "best"):
            recover(self.path / which)

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds an epoch's line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """The epochs' lines; a last one cut off by a kill is left out."""
        path, lines = self.path / "metrics.jsonl", []
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
        return lines

    def forget_epochs_from(self, epoch: int) -> None:
        """Drops the lines of epochs that a continued training will do again."""
        kept = [line for line in self.lines() if line["epoch"] < epoch]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def results(self) -> dict[str, Any]:
        path = self.path / "results.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def write_results(self, results: Mapping[str, Any]) -> None:
        write_json(self.path / "results.json", results)

    def write_training(self, config: Any, *, task: str, parameters: int, best_is: str) -> None:
        """Adds to results.json what was trained, and how: ``config`` a task's dataclass, ``best_is`` what selected
        ``best/``.
        """
        lines = self.lines()
        training = {
            "epochs": config.train.epochs,
            "seconds": round(sum(line["seconds"] for line in lines), 1),
            "parameters": parameters,
            "best_is": best_is,
            "last_line": lines[-1],
        }
        about = {"specvid": __version__, "task": task, "run": self.name, "config": to_dict(config)}
        self.write_results({**self.results(), **about, "training": training})

    def save(
        self, which: str, model: nn.Module, meta: Mapping[str, Any], state: Mapping[str, Any] | None = None
    ) -> None:
        """Replace ``last`` or ``best`` in one go."""
        with replacing_folder(self.path / which) as folder:
            save_weights(model, folder / WEIGHTS)
            write_json(folder / META, meta)
            if state is not None:
                torch.save(dict(state), folder / STATE)

    def checkpoint(self, which: str) -> Path:
        """The folder of checkpoint ``last`` or ``best``. Raises ValueError where it is not there."""
        folder = current(self.path / which)
        if not (folder / META).is_file():
            there = [name for name in ("last", "best") if (current(self.path / name) / META).is_file()]
            has = ", ".join(there) or "none yet (no epoch is complete)"
            raise ValueError(f"run {str(self.path)!r} has no checkpoint {which!r}. It has: {has}.")
        return folder

    def meta(self, which: str) -> dict[str, Any]:
        return json.loads((self.checkpoint(which) / META).read_text(encoding="utf-8"))

    def load_model(self, which: str, model: nn.Module) -> None:
        """Loads the checkpoint's weights into ``model``, tensor by tensor: it must be the very model that was saved.

        Raises ValueError where it is another one, naming the first difference.
        """
        path = self.checkpoint(which) / WEIGHTS
        saved, own = load_file(path), model.state_dict()
        wrong = [
            f"{len(own.keys() - saved.keys())} tensors are missing, e.g. {name}" for name in own if name not in saved
        ][:1]
        wrong += [f"{len(saved.keys() - own.keys())} are unknown, e.g. {name}" for name in saved if name not in own][:1]
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
        """What ``last/`` holds to continue with; None where there is none yet."""
        path = self.path / "last" / STATE
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
