"""A checkpoint in the Hub's format: config.json, weights as safetensors, perhaps a preprocessor config.

A folder needs no network. What is on the Hub is fetched into its cache, config and weights alone. No code in it is run:
the network is built of transformers' own classes, of its config only the entries that they know are read, and of
pickled weights only numbers (``weights_only``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from specvid.extras import require
from specvid.reading import read_json, require_plain
from specvid.torchfile import load_plain

CONFIG = "config.json"
_WANTED = ["*config.json", "*.safetensors", "*.safetensors.index.json"]
_PICKLED = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
_ENTRIES = {"architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "auto_map"}
_ENTRIES |= {"id2label", "label2id", "num_labels", "problem_type", "out_features", "out_indices", "stage_names"}


def find_checkpoint(name: str, what: str, *, wanted: tuple[str, ...] = ()) -> Path:
    """The folder of a checkpoint: itself, or the Hub's copy in the cache.

    Args:
        name: A folder, or ``owner/name`` on the Hub.
        what: The backbone, to begin a message with.
        wanted: Further patterns of files to fetch from the Hub.

    Returns:
        The folder.

    Raises:
        ValueError: There is none.
    """
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"{what}: there is no such folder; give one, or owner/name of the Hugging Face Hub")
    client = require("huggingface_hub", extra="hf", what=what)
    try:
        folder = Path(client.snapshot_download(name, allow_patterns=[*_WANTED, *wanted]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(client.snapshot_download(name, allow_patterns=[*_WANTED, *wanted, *_PICKLED]))
        return folder
    except (OSError, ValueError) as error:  # those of the client are
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{what}: there is no such folder, and the Hub does not give it ({reason})") from error


def read_config(folder: Path, what: str) -> dict[str, Any]:
    """The config.json of a checkpoint.

    Args:
        folder: Its folder.
        what: The backbone, to begin a message with.

    Returns:
        The content.

    Raises:
        ValueError: It is missing or damaged.
    """
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{what}: there is no {CONFIG} in it, so it is no checkpoint in the Hub's format")
    return read_json(folder / CONFIG)


def read_tensors(folder: Path, what: str) -> dict[str, Tensor]:
    """The weights of a checkpoint, in float32.

    Args:
        folder: Its folder: safetensors, else pickled files, of which numbers alone are read.
        what: The backbone, to begin a message with.

    Returns:
        Tensors by the names that the files have.

    Raises:
        ValueError: There are none, or a file is damaged or needs code to be run.
    """
    for pattern in ("model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin"):
        files = sorted(folder.glob(pattern))
        if files:
            state = {name: tensor for file in files for name, tensor in _read(file, what).items()}
            return {name: one.float() if one.is_floating_point() else one for name, one in state.items()}
    raise ValueError(f"{what}: it has no weights: no model.safetensors, nor pytorch_model.bin")


def load_network(cls: Any, config: Any, state: Mapping[str, Tensor], what: str) -> tuple[nn.Module, set[str]]:
    """Build a network of transformers with given weights, whatever version of it named them.

    Args:
        cls: Its class.
        config: Its config.
        state: Tensors by name.
        what: The backbone, to begin a message with.

    Returns:
        The network, and the names of its tensors that were not among them.

    Raises:
        ValueError: The weights are of other shapes than the config says.
    """
    try:
        with quiet(), torch.device("cpu"):
            network, about = cls.from_pretrained(
                None,
                config=config,
                state_dict=dict(state),
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except Exception as error:  # whatever transformers raises for a config and weights of anybody
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{what}: transformers cannot build it ({reason[:300]})") from error
    wrong = [entry[0] if isinstance(entry, tuple) else entry for entry in about["mismatched_keys"]]
    if wrong:
        raise ValueError(
            f"{what}: {len(wrong)} tensors have another shape than its config says, {sorted(wrong)[0]} first: options "
            "in the name must fit the weights"
        )
    return network, set(about["missing_keys"])


def own_options(config: Any) -> dict[str, Any]:
    """What builds the same architecture again: entries of a config of transformers that are not their defaults.

    Args:
        config: The config.

    Returns:
        Entry -> value, JSON-able.
    """
    default, common = type(config)().to_dict(), _common_entries()
    return {
        name: value
        for name, value in config.to_dict().items()
        if name in default and name not in common and value != default[name]
    }


def option_names(config_class: Any) -> list[str]:
    """The entries of an architecture's config that may be set as options.

    Args:
        config_class: transformers' class of it.

    Returns:
        Their names.
    """
    return sorted(set(config_class().to_dict()) - _common_entries())


def class_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in a config.json.

    Args:
        config: The content.

    Returns:
        The names in the order of the logits; empty where there are none but LABEL_0 and so on.
    """
    names = config.get("id2label")
    if not isinstance(names, Mapping):
        return ()
    ordered = [names[key] for key in sorted(names, key=int)]
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(ordered)) else tuple(map(str, ordered))


def _read(file: Path, what: str) -> dict[str, Tensor]:
    """The tensors of a file; of one that is pickled, no more is read."""
    from safetensors.torch import load_file

    try:
        require_plain(file)
        if file.suffix == ".safetensors":
            return load_file(file)
        content = load_plain(file)
    except Exception as error:  # of a damaged file, in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{what}: {file.name} is damaged, or wants code to be run ({reason[:300]})") from error
    if not isinstance(content, dict) or not all(isinstance(one, Tensor) for one in content.values()):
        raise ValueError(f"{what}: {file.name} holds other things than tensors by name")
    return content


def _common_entries() -> set[str]:
    """Entries that every config has, and that say nothing of the layers."""
    import transformers

    return _ENTRIES | set(transformers.PretrainedConfig().to_dict())


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and reports on stderr: what is amiss becomes an error of ours."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
