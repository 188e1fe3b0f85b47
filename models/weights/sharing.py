"""Models as folders that others can load: ``model.safetensors``, ``config.json``, and a README that says what it is.

`from_pretrained` also takes a trained run, or the checkpoint ``last/`` or ``best/`` in one, and ``owner/name`` of the
Hugging Face Hub (the extra ``specvid[hub]``). Nothing in such a folder is code; but the options of a backbone of
another library may name functions, and so need ``trusted=True``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specvid.extras import require
from specvid.models.spec import InputSpec
from specvid.models.weights.card import model_card
from specvid.models.weights.load import load_weights
from specvid.models.weights.report import summarise
from specvid.models.weights.save import save_weights

if TYPE_CHECKING:
    from specvid.models.factory import VideoModel

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
META = "meta.json"  # of a run's checkpoint
_OWN_SCHEMES = ("inflated",)


def save_pretrained(
    model: VideoModel, folder: str | Path, *, classes: Sequence[str] | None = None, licence: str = "", title: str = ""
) -> None:
    """Write ``model`` to ``folder``: weights, ``config.json`` (model, input, classes), README.md (the model card).

    ``classes``: names of the logits, if ``model.classes`` has none; ``licence``: an identifier of the Hugging Face Hub,
    e.g. ``apache-2.0``. A README.md that is there already is left as it is. ``ValueError`` for a wrong number of
    classes.
    """
    folder = Path(folder)
    names = tuple(classes) if classes is not None else model.classes
    if names is not None and len(names) != model.num_classes:
        raise ValueError(
            f"classes: {len(names)} names, but the model has {model.num_classes} logits; give one for each"
        )
    if folder.is_file():
        raise ValueError(f"{str(folder)!r} is a file; give a folder to write")
    save_weights(model, folder / WEIGHTS)
    config = {
        "library": "specvid",
        "model": model.config,
        "input": asdict(model.input),
        "classes": list(names) if names is not None else None,
        "data": {"sampling": model.sampling},
    }
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG).write_text(f"{text}\n", encoding="utf-8")
    if not (folder / CARD).exists():
        card = model_card(model, names, licence=licence, title=title or folder.resolve().name)
        (folder / CARD).write_text(card, encoding="utf-8")


def from_pretrained(source: str | Path, *, trusted: bool = False, **hub: Any) -> VideoModel:
    """The model of `save_pretrained`, or of a trained run, in eval mode on the CPU.

    ``source``: a folder (of `save_pretrained`, a run, or a run's ``last/`` or ``best/``), or ``owner/name`` on the
    Hugging Face Hub; ``hub``: ``revision``, ``token``, ``cache_dir``, ``local_files_only`` for the latter.
    ``trusted``: build backbones of other libraries, whose options are run by these (mmaction2's may name any Python
    function). ``ValueError`` where there is no such model, or weights and config do not belong together.
    """
    from specvid.models.factory import create_model

    folder = Path(source) if Path(source).exists() else _download(str(source), hub)
    path = _config_file(folder)
    said = _read(path)
    config = said["model"]
    scheme, colon, _ = str(config.get("name", "")).partition(":")
    if colon and scheme not in _OWN_SCHEMES and not trusted:
        raise ValueError(
            f"model {str(source)!r} has the backbone {config['name']!r} of another library, whose options may name any "
            f"Python function. Look at {path}; if it is fine, call from_pretrained(..., trusted=True)"
        )
    if "weights" in config:
        raise ValueError(
            f"{str(path)!r}: the model of a config.json has no weights of its own; take 'weights' out of it"
        )
    try:
        model = create_model(**config)
        model.input = InputSpec(**(said.get("input") or asdict(model.input)))
    except TypeError as error:
        raise ValueError(f"{str(path)!r} describes no model of specvid ({error})") from error
    report = load_weights(model, path.parent / WEIGHTS)
    extra = said.get("buffers") or {}  # what the training added, e.g. the centres of a loss
    wrong = {**report.missing, **report.mismatched}
    wrong |= {name: why for name, why in report.unexpected.items() if name not in extra}
    if wrong:
        raise ValueError(f"{WEIGHTS} and {path.name} in {str(path.parent)!r} differ: {'; '.join(summarise(wrong))}")
    model.loaded = report
    classes = said.get("classes")
    model.classes = tuple(map(str, classes)) if classes and len(classes) == model.num_classes else None
    model.sampling = str((said.get("data") or {}).get("sampling", "dense"))
    return model.eval()


def push_to_hub(
    model: VideoModel,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str = "Upload model",
    **options: Any,
) -> str:
    """Upload ``model`` to ``repo_id`` (``owner/name``) of the Hugging Face Hub, which is made where it is not there.

    ``options``: those of `save_pretrained`. Returns the address of the commit. ``ValueError`` where the extra
    ``specvid[hub]`` is absent.
    """
    from tempfile import TemporaryDirectory

    hub = require("huggingface_hub", extra="hub", what=f"push_to_hub({repo_id!r})")
    api = hub.HfApi(token=token)
    with TemporaryDirectory() as folder:
        save_pretrained(model, folder, **{"title": repo_id, **options})
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message).commit_url)


def is_shared(name: str) -> bool:
    """Whether ``name`` is one for `from_pretrained` (a folder, ``owner/name``) and not the name of a backbone."""
    return Path(name).is_dir() or (name.count("/") == 1 and ":" not in name and not name.startswith((".", "/", "~")))


def _download(name: str, hub: Mapping[str, Any]) -> Path:
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
    """The file that says what the weights beside it are of."""
    places = (folder / CONFIG, folder / META, folder / "last" / META)
    for path in places:
        if path.is_file() and (path.parent / WEIGHTS).is_file():
            return path
    raise ValueError(
        f"model {str(folder)!r} is no folder of a model: it has no {WEIGHTS} with a {CONFIG}. Give one that "
        "save_pretrained wrote, or a trained run"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no JSON ({error})") from error
    if not isinstance(said, dict) or not isinstance(said.get("model"), dict) or "name" not in said["model"]:
        raise ValueError(f"{str(path)!r} is not of a model of specvid: it has no 'model' with a 'name'")
    return said
