"""What the figures of a study depend on: kept beside rows and saved maps, so that none of other settings are reused.

Data and weights are known by their content, wherever they lie; what only chooses the rows (``--arms``, ``--seeds``) is
no setting.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.datasets.layouts.reid_set import ReidSet, Tracklet
from specvid.models.weights.save import save_tensors
from specvid.pipelines.action.data import ActionLists
from specvid.reading import parse_json, read_plain, require_plain
from specvid.text import counted

Settings = Mapping[str, str | int | float]
"""By the names of their options, and ``study``, the name of the program."""

Data = ActionLists | ActionSet | ReidSet
_KEY = "settings"  # in the metadata of saved maps
_DIGITS = 16


def settings_of(study: str, data: Data, weights: str, **others: str | int | float) -> Settings:
    """The settings of a study.

    Args:
        study: name of the program.
        data: the split.
        weights: a file, or the name of published ones.
        **others: other options that the figures depend on.

    Returns:
        All of them, data and weights by their content.

    Raises:
        ValueError: the weights are a folder.
    """
    return {"study": study, **others, "data": _describe_data(data), "weights": _describe_weights(weights)}


def _describe_data(data: Data) -> str:
    """Title, number of clips, and the beginning of a sha256 over names, labels and sizes of the files."""
    digest = hashlib.sha256()
    for part in (data.train, data.test):
        for clip in part:
            digest.update(f"{_known_by(clip)}\n".encode())
        digest.update(b"\n")
    if isinstance(data, ReidSet):
        digest.update(f"{data.query.tolist()} {data.gallery.tolist()}".encode())
    noun = "tracklet" if isinstance(data, ReidSet) else "clip"
    counts = f"{counted(len(data.train), noun)} to train on, {len(data.test):,} to test on"
    return f"{data.title} ({counts}; {digest.hexdigest()[:_DIGITS]})"


def _known_by(clip: VideoRecord | Tracklet) -> str:
    """What stands for a clip, as text without letters beyond ASCII."""
    if isinstance(clip, Tracklet):
        sizes = [_size(clip.path(number)) for number in range(len(clip))]
        return ascii((clip.name, str(clip.pid), str(clip.camid), clip.frames, sizes))
    return ascii((clip.name, clip.label, clip.labels, clip.start_s, clip.end_s, _size(clip.path)))


def _size(path: Path) -> int:
    """Bytes of a file; 0 of a folder of frames, and of what is missing, which is said where it is read."""
    return path.stat().st_size if path.is_file() else 0


def _describe_weights(weights: str) -> str:
    """The beginning of the file's sha256; or the name of published ones."""
    if not Path(weights).exists():
        return weights  # what is no name either is refused where it is loaded
    return f"sha256 {hashlib.sha256(read_plain(weights)).hexdigest()[:_DIGITS]}"


def refuse_other(file: Path, what: str, there: Mapping[str, object], here: Settings) -> None:
    """Refuse a file of other settings.

    Args:
        file: what was found.
        what: it has, in the plural.
        there: its settings.
        here: those of this command.

    Raises:
        ValueError: they differ; both values are named.
    """
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    if "study" in names:  # the others follow from it
        names = ["study"]
    if names:
        differ = "; ".join(f"{name} is {_shown(there, name)} there, and {_shown(here, name)} here" for name in names)
        raise ValueError(f"{file} has {what} of other settings: {differ}. Give another --out, or the settings there.")


def _shown(settings: Mapping[str, object], name: str) -> str:
    return str(settings[name])[:200] if name in settings else "not known"


def saved_maps(file: Path, settings: Settings, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Maps from a file, which is made where it is not there, and appears when it is complete.

    Args:
        file: where they lie (safetensors).
        settings: that they depend on; they are kept in the file.
        make: computes them.

    Returns:
        The maps by name.

    Raises:
        ValueError: the file is of other settings, or damaged.
        OSError: the disk is full, or may not be written.
    """
    if not file.exists():
        save_tensors(make(), file, {"format": "pt", _KEY: json.dumps(dict(settings))})
    require_plain(file)
    try:
        with safe_open(file, "pt") as opened:
            there = parse_json((opened.metadata() or {}).get(_KEY, "{}"))
        refuse_other(file, "maps", there, settings)
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} has no sound maps ({error}). Remove it: the same command makes it again.") from None
