"""`load`: the model of a shared folder, of a trained run, or of the Hugging Face Hub (the extra ``specvid[hub]``).

Nothing in such a folder is code; but the options of a backbone of another library may name functions, and so need
``trusted=True``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specvid.extras import require
from specvid.models.factory import create_model
from specvid.models.spec import InputSpec
from specvid.models.video_model import VideoModel
from specvid.models.weights.load import load_weights
from specvid.models.weights.report import summarise
from specvid.models.weights.sharing import CONFIG, WEIGHTS

META = "meta.json"  # of a run's checkpoint
_OWN_SCHEMES = ("inflated",)


def load(source: str | Path, *, trusted: bool = False, **hub: Any) -> VideoModel:
    """The model of `VideoModel.save_pretrained` or of a trained run, in eval mode on the CPU.

    Args:
        source: A folder (of ``save_pretrained``, a run, or a run's ``last/`` or ``best/``), or ``owner/name`` on the
            Hugging Face Hub.
        trusted: Build backbones of other libraries, whose options are run by these (mmaction2's may name any Python
            function).
        **hub: ``revision``, ``token``, ``cache_dir``, ``local_files_only`` for the Hub.

    Returns:
        The model; what was loaded is in ``model.loaded``.

    Raises:
        ValueError: There is no such model, or weights and config do not belong together.
    """
    folder = Path(source) if Path(source).exists() else _download(str(source), hub)
    path = _config_file(folder)
    content = _read(path)
    config = content["model"]
    scheme, colon, _ = str(config.get("name", "")).partition(":")
    if colon and scheme not in _OWN_SCHEMES and not trusted:
        raise ValueError(
            f"model {str(source)!r} has the backbone {config['name']!r} of another library, whose options may name any "
            f"Python function. Look at {path}; if it is fine, call specvid.load(..., trusted=True)"
        )
    if "weights" in config:
        raise ValueError(
            f"{str(path)!r}: the model of a config.json has no weights of its own; take 'weights' out of it"
        )
    try:
        model = create_model(**config)
        model.input = InputSpec(**(content.get("input") or asdict(model.input)))
    except TypeError as error:
        raise ValueError(f"{str(path)!r} describes no model of specvid ({error})") from error
    report = load_weights(model, path.parent / WEIGHTS)
    extra = content.get("buffers") or {}  # what the training added, e.g. the centres of a loss
    wrong = {**report.missing, **report.mismatched}
    wrong |= {name: why for name, why in report.unexpected.items() if name not in extra}
    if wrong:
        raise ValueError(f"{WEIGHTS} and {path.name} in {str(path.parent)!r} differ: {'; '.join(summarise(wrong))}")
    model.loaded = report
    classes = content.get("classes")
    model.classes = tuple(map(str, classes)) if classes and len(classes) == model.num_classes else None
    model.sampling = str((content.get("data") or {}).get("sampling", "dense"))
    return model.eval()


def is_shared(name: str) -> bool:
    """Whether ``name`` is one for `load` (a folder, ``owner/name``) and not the name of a backbone."""
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


def _read(path: Path) -> dict[str, Any]:
    """The content of a config, which has a model."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict) or "name" not in content["model"]:
        raise ValueError(f"{str(path)!r} is not of a model of specvid: it has no 'model' with a 'name'")
    return content
