"""`load`: the model of a shared folder, of a trained run, or of the Hugging Face Hub (the extra ``specvid[hub]``).

Nothing in such a folder is code; but the options of a backbone of another library may name some, and are refused unless
``trusted=True`` (`specvid.models.trust`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specvid.extras import require
from specvid.models.bounded import bounded_by
from specvid.models.factory import create_model
from specvid.models.insertion.grammar import parse_name
from specvid.models.spec import InputSpec
from specvid.models.trust import require_trust
from specvid.models.video_model import VideoModel
from specvid.models.weights.load import load_weights
from specvid.models.weights.report import summarise
from specvid.models.weights.sharing import CONFIG, WEIGHTS
from specvid.reading import read_json

META = "meta.json"  # of a run's checkpoint
_WRONG_VALUES: tuple[type[Exception], ...] = (  # what building raises for values that nobody foresaw
    *(TypeError, AttributeError, KeyError, IndexError, RuntimeError, OverflowError, ZeroDivisionError, MemoryError),
)


def load(source: str | Path, *, trusted: bool = False, **hub: Any) -> VideoModel:
    """The model of `VideoModel.save_pretrained` or of a trained run, in eval mode on the CPU.

    Args:
        source: A folder (of ``save_pretrained``, a run, or a run's ``last/`` or ``best/``), or ``owner/name`` on the
            Hugging Face Hub.
        trusted: Also build backbones of other libraries with options that may run code
            (`specvid.models.trust.require_trust`).
        **hub: ``revision``, ``token``, ``cache_dir``, ``local_files_only`` for the Hub.

    Returns:
        The model; what was loaded is in ``model.loaded``.

    Raises:
        ValueError: There is no such model, or weights and config do not belong together.
    """
    folder = Path(source) if Path(source).exists() else _download(str(source), hub)
    path = _config_file(folder)
    content = read_json(path)
    model = build_described(content, path, trusted=trusted)
    report = load_weights(model, path.parent / WEIGHTS)
    extra = content.get("buffers") or {}  # what the training added, e.g. the centres of a loss
    wrong = {**report.missing, **report.mismatched}
    left_out = tuple(f"{name}." for name in only_for_training(content, path))
    unexpected = {name: why for name, why in report.unexpected.items() if not name.startswith(left_out)}
    wrong |= {name: why for name, why in unexpected.items() if name not in extra}
    if wrong:
        raise ValueError(f"{WEIGHTS} and {path.name} in {str(path.parent)!r} differ: {'; '.join(summarise(wrong))}")
    model.loaded = report
    return model.eval()


def build_described(content: Mapping[str, Any], path: Path, *, trusted: bool = False) -> VideoModel:
    """The model that a config.json or meta.json describes, with its input, classes and sampling, without its weights.

    Args:
        content: Of the file.
        path: The file; the size of the weights beside it limits that of the model it may describe.
        trusted: As for `load`.

    Returns:
        The model.

    Raises:
        ValueError: It describes no model, one that its weights cannot be of, or one that may run code.
    """
    config = content.get("model")
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise ValueError(f"{str(path)!r} is not of a model of specvid: it has no 'model' with a 'name'")
    require_trust(config, where=str(path), trusted=trusted)
    if "weights" in config:
        raise ValueError(
            f"{str(path)!r}: the model of a config.json has no weights of its own; take 'weights' out of it"
        )
    _check_sizes({**config, "in the name": parse_name(config["name"])[1]}, path)
    try:
        with bounded_by(path.parent / WEIGHTS, repr(str(path))):
            model = create_model(**config)
        model.input = InputSpec(**(content.get("input") or asdict(model.input)))
        classes, data = content.get("classes") or (), content.get("data") or {}
        model.classes = tuple(map(str, classes)) if len(classes) == model.num_classes else None
        model.sampling = str(data.get("sampling", "dense"))
    except _WRONG_VALUES as error:
        reason = str(error) or "building it takes more memory than its weights explain"
        raise ValueError(f"{str(path)!r} describes no model of specvid ({reason})") from error
    if model.sampling not in ("dense", "segments"):
        raise ValueError(f"{str(path)!r}: sampling {model.sampling!r} is unknown. Choose from: dense, segments.")
    return model


def only_for_training(content: Mapping[str, Any], path: Path) -> list[str]:
    """The submodules whose weights lie beside a meta.json though only the training needs them: a projector.

    Args:
        content: Of the file.
        path: The file.

    Returns:
        Their names.

    Raises:
        ValueError: They are no names.
    """
    names = content.get("only_for_training") or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{str(path)!r}: only_for_training is {names!r}; it must be a list of names")
    return names


def is_shared(name: str) -> bool:
    """Whether a name is one for `load`, and not the name of a backbone.

    Args:
        name: A folder, ``owner/name``, or a backbone.

    Returns:
        True for the first two.
    """
    return Path(name).is_dir() or (name.count("/") == 1 and ":" not in name and not name.startswith((".", "/", "~")))


def _download(name: str, hub: Mapping[str, Any]) -> Path:
    """The folder of ``owner/name`` in the Hub's cache: config and weights alone."""
    if not is_shared(name):
        raise ValueError(f"model {name!r}: there is no such folder; give one, or owner/name of the Hugging Face Hub")
    client = require("huggingface_hub", extra="hub", what=f"model {name!r} (no such folder, so one of the Hub)")
    try:
        return Path(client.snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS], **hub))
    except (OSError, ValueError) as error:  # those of the client are
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"model {name!r}: there is no such folder, and the Hugging Face Hub does not give it ({reason})"
        ) from error


def _config_file(folder: Path) -> Path:
    """The file that describes the weights beside it."""
    places = (folder / CONFIG, folder / META, folder / "last" / META)
    for path in places:
        if path.is_file() and (path.parent / WEIGHTS).is_file():
            return path
    raise ValueError(
        f"model {str(folder)!r} is no folder of a model: it has no {WEIGHTS} with a {CONFIG}. Give one that "
        "save_pretrained wrote, or a trained run"
    )


def _check_sizes(value: Any, path: Path) -> None:
    """Refuse a number that no model of these weights has, before anything of that size is built."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    weights = path.parent / WEIGHTS
    most = max(10_000, weights.stat().st_size if weights.is_file() else 0)
    for item in items:
        if isinstance(item, int | float) and not abs(item) <= most:
            raise ValueError(f"{str(path)!r} describes no model of specvid: {item!r} is more than its weights can hold")
        _check_sizes(item, path)
