"""Sharing a model: a folder that others can load, with a model card, and its upload to the Hugging Face Hub.

The folder has ``model.safetensors``, ``config.json`` and README.md, the card with the header that the Hub reads.
`specvid.models.pretrained.load` opens it. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from specvid.extras import require
from specvid.files import write_json, write_text
from specvid.modality import DESCRIPTIONS
from specvid.models.weights.save import save_weights
from specvid.text import markdown_text

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save_pretrained(
    model: VideoModel, folder: str | Path, *, classes: Sequence[str] | None = None, license: str = "", title: str = ""
) -> None:
    """Write ``model`` to ``folder``: weights, ``config.json`` (model, input, classes) and the model card.

    A README.md that is there already is left as it is.

    Args:
        model: What to write.
        folder: Made where it is not there.
        classes: Names of the logits, if ``model.classes`` has none.
        license: An identifier of the Hugging Face Hub, e.g. ``apache-2.0``; without it the card says that none is
            stated.
        title: Heading of the card; the folder's name if not given.

    Raises:
        ValueError: ``folder`` is a file, or the number of classes is not that of the logits.
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
    write_json(folder / CONFIG, config)
    if not (folder / CARD).exists():
        card = model_card(model, names, license=license, title=title or folder.resolve().name)
        write_text(folder / CARD, card)


def push_to_hub(
    model: VideoModel,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    commit_message: str = "Upload model",
    **options: Any,
) -> str:
    """Upload ``model`` to the Hugging Face Hub.

    Args:
        model: What to upload.
        repo_id: ``owner/name``; made where it is not there.
        private: Whether a new repository is private; the owner's default if not given.
        token: Access token; the stored one if not given.
        commit_message: Of the upload.
        **options: Those of `save_pretrained`.

    Returns:
        The address of the commit.

    Raises:
        ValueError: The extra ``specvid[hub]`` is not installed.
    """
    hub = require("huggingface_hub", extra="hub", what=f"push_to_hub({repo_id!r})")
    api = hub.HfApi(token=token)
    with TemporaryDirectory() as folder:
        save_pretrained(model, folder, **{"title": repo_id, **options})
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message).commit_url)


def model_card(model: VideoModel, classes: Sequence[str] | None, *, license: str = "", title: str = "") -> str:
    """The text of the model card.

    Args:
        model: What it describes.
        classes: Names of the logits, if they have any.
        license: As in `save_pretrained`.
        title: Its heading, and the name that its example loads.

    Returns:
        Markdown, with the metadata of the Hub in front.
    """
    config, spec = model.config, model.input
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    head = ["---", "library_name: specvid", *(["pipeline_tag: video-classification"] if classes else [])]
    head += ["tags: [specvid, video]", *([f"license: {json.dumps(license)}"] if license else []), "---"]
    size = " x ".join(map(str, spec.crop))
    seen = "" if spec.modality == "rgb" else f", {DESCRIPTIONS[spec.modality]}"
    about = [
        f"- Backbone: `{config['name']}`, {millions:.2f} M parameters with all that is inserted",
        f"- Blocks: `{config['blocks'] or 'none'}`",
        *([f"- Convolutions replaced: `{config['conv']}`"] if config.get("conv") else []),
        f"- Clips: {spec.frames} frames at a distance of {spec.stride}, {size} px (height x width){seen}",
        f"- Embedding: {model.embedding_dim} numbers; logits: {model.num_classes or 'none'}",
        f"- Licence: {license or 'not stated; ask whoever published it before you use it'}",
    ]
    if classes:
        shown = ", ".join(map(markdown_text, classes[:10]))
        about.append(f"- Classes: {shown}{f' and {len(classes) - 10} more (config.json)' if len(classes) > 10 else ''}")
    use = [
        "```python",
        "import specvid",
        "",
        f'model = specvid.load("{title or "FOLDER"}")  # this folder, or owner/name on the Hub',
        "```",
    ]
    data = "How it was trained, on what data, and how well it does: please write it here."
    return "\n\n".join(["\n".join(head), f"# {title or config['name']}", "\n".join(about), "\n".join(use), data]) + "\n"
