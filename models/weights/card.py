"""The model card: the README.md beside shared weights, with the header that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specvid.models.factory import VideoModel


def model_card(model: VideoModel, classes: Sequence[str] | None, *, licence: str = "", title: str = "") -> str:
    """The card's text. Without ``licence`` it says that none is stated."""
    config, spec = model.config, model.input
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    head = ["---", "library_name: specvid", *(["pipeline_tag: video-classification"] if classes else [])]
    head += ["tags: [specvid, video]", *([f"license: {json.dumps(licence)}"] if licence else []), "---"]
    size = " x ".join(map(str, spec.crop))
    about = [
        f"- Backbone: `{config['name']}`, {millions:.2f} M parameters with all that is inserted",
        f"- Blocks: `{config['blocks'] or 'none'}`",
        f"- Clips: {spec.frames} frames at a distance of {spec.stride}, {size} px (height x width)",
        f"- Embedding: {model.embedding_dim} numbers; logits: {model.num_classes or 'none'}",
        f"- Licence: {licence or 'not stated; ask whoever published it before you use it'}",
    ]
    if classes:
        shown = ", ".join(classes[:10])
        about.append(f"- Classes: {shown}{f' and {len(classes) - 10} more (config.json)' if len(classes) > 10 else ''}")
    use = [
        "```python",
        "from specvid.models import VideoModel",
        "",
        f'model = VideoModel.from_pretrained("{title or "FOLDER"}")  # this folder, or owner/name on the Hub',
        "```",
    ]
    data = "How it was trained, on what data, and how well it does: please write it here."
    return "\n\n".join(["\n".join(head), f"# {title or config['name']}", "\n".join(about), "\n".join(use), data]) + "\n"
