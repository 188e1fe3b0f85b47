"""A model of open_clip: its config, the file of its weights, how images are prepared, and its tokenizer.

A folder needs no network, and nothing in it is run as code: config entries that load other models by name are refused,
and pickled weights are read as numbers alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from specvid.errors import unknown
from specvid.models.backbones.hf.folder import find_checkpoint
from specvid.reading import read_json

CONFIG = "open_clip_config.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
_TOKENIZER = ("tokenizer*", "*.model", "vocab*", "merges.txt", "special_tokens_map.json")


@dataclass(frozen=True)
class ClipSource:
    """Where a model of open_clip is from.

    Attributes:
        model: Its config, ``model_cfg``.
        images: How images are prepared, ``preprocess_cfg``.
        weights: The file of its weights; None for random ones.
        tokenizer: Makes its tokenizer.
    """

    model: dict[str, Any]
    images: Mapping[str, Any]
    weights: Path | None
    tokenizer: Callable[[], Any]


def find_clip(open_clip: Any, name: str, what: str) -> ClipSource:
    """Find a model by name.

    Args:
        open_clip: The package.
        name: A folder, ``owner/name`` on the Hub, one of open_clip's architectures, or ``ARCHITECTURE/TAG``.
        what: The backbone, to begin a message with.

    Returns:
        All that is known of it.

    Raises:
        ValueError: There is none, or it is not one that is supported.
    """
    architecture, slash, tag = name.partition("/")
    if not Path(name).is_dir() and architecture in open_clip.list_models():
        return _built_in(open_clip, architecture, tag if slash else "", what)
    if "/" not in name and not Path(name).is_dir():
        raise unknown(f"{what}: it is no folder, and as an architecture", name, open_clip.list_models())
    folder = find_checkpoint(name, what, wanted=("*.json", *_TOKENIZER, "open_clip_pytorch_model.bin"))
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{what}: there is no {CONFIG} in it, so it is no model of open_clip")
    content = read_json(folder / CONFIG)
    if not isinstance(content.get("model_cfg"), dict):
        raise ValueError(f"{what}: its {CONFIG} has no 'model_cfg'")
    weights = next((folder / file for file in _WEIGHTS if (folder / file).is_file()), None)
    if weights is None:
        raise ValueError(f"{what}: it has no weights: none of {', '.join(_WEIGHTS)}")
    model = content["model_cfg"]
    tokenizer = partial(_tokenizer, open_clip, model.get("text_cfg") or {}, folder)
    return ClipSource(model, content.get("preprocess_cfg") or {}, weights, tokenizer)


def build_towers(model: Mapping[str, Any], what: str) -> Any:
    """Build a model of open_clip, randomly initialised.

    Args:
        model: Its config, ``model_cfg``.
        what: The backbone, to begin a message with.

    Returns:
        open_clip's model.

    Raises:
        ValueError: It would load another model by name, or open_clip refuses the config.
    """
    config: dict[str, Any] = copy.deepcopy(dict(model))
    vision, text = config.get("vision_cfg"), config.get("text_cfg")
    if not isinstance(vision, dict) or not isinstance(text, dict) or "multimodal_cfg" in config:
        raise ValueError(f"{what} is no pair of an image and a text tower, which alone are supported")
    if text.get("hf_model_name"):
        other = str(text["hf_model_name"])[:100]
        raise ValueError(f"{what}: its text tower is another model, {other!r}, which is not supported")
    if vision.get("timm_model_name") and not re.fullmatch(r"[\w.-]+", str(vision["timm_model_name"])):
        raise ValueError(f"{what}: {str(vision['timm_model_name'])[:100]!r} is no name of timm's")
    vision["timm_model_pretrained"] = False
    custom = config.pop("custom_text", False)
    from open_clip.model import CLIP, CustomTextCLIP

    try:
        return (CustomTextCLIP if custom else CLIP)(**config)
    except Exception as error:  # whatever open_clip, and timm below it, raise for a config of anybody
        raise ValueError(f"{what}: open_clip refuses its config ({str(error)[:300]})") from error


def load_towers(network: Any, weights: Path, what: str) -> None:
    """Load the weights of a model of open_clip, in place.

    Args:
        network: The model.
        weights: The file.
        what: The backbone, to begin a message with.

    Raises:
        ValueError: They are damaged, need code to be run, or do not fit.
    """
    from open_clip.factory import load_checkpoint

    try:
        load_checkpoint(network, str(weights), weights_only=True)
    except Exception as error:  # of readers and of load_state_dict
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{what}: open_clip cannot load {weights.name} ({reason})") from error


def _built_in(open_clip: Any, architecture: str, tag: str, what: str) -> ClipSource:
    """One of open_clip's architectures, with published weights where a tag names them."""
    config = open_clip.get_model_config(architecture)
    tokenizer = partial(open_clip.get_tokenizer, architecture)
    if not tag:
        return ClipSource(config, {}, None, tokenizer)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise unknown(f"{what}: published weights", tag, tags)
    published = open_clip.get_pretrained_cfg(architecture, tag)
    config["quick_gelu"] = published.get("quick_gelu", config.get("quick_gelu", False))
    try:
        weights = Path(open_clip.download_pretrained(published))
    except Exception as error:  # of clients of the network
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{what}: its weights cannot be downloaded ({reason})") from error
    return ClipSource(config, published, weights, tokenizer)


def _tokenizer(open_clip: Any, text: Mapping[str, Any], folder: Path) -> Any:
    """The tokenizer of a folder: files in it, or open_clip's own."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
    given = text.get("tokenizer_kwargs") or {}
    options = {key: given[key] for key in ("clean", "strip_sep_token", "language") if key in given}
    if not text.get("hf_tokenizer_name"):
        return SimpleTokenizer(context_length=length, **{key: options[key] for key in ("clean",) if key in options})
    mode = text.get("tokenizer_mode")
    try:
        return HFTokenizer(
            str(folder),
            context_length=length,
            tokenizer_mode=mode,
            **options,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as error:  # of transformers
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"the tokenizer in {str(folder)!r} cannot be read ({reason})") from error
