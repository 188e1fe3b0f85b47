"""An mmaction2 config file: the backbone of its recogniser, and the clips that it wants.

The config is run as Python, as mmaction2 runs it: read only those you trust.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specvid.errors import nearest
from specvid.models.backbones.mmaction2.families import FAMILIES
from specvid.models.backbones.mmaction2.network import without_pretrained
from specvid.models.spec import InputSpec

SUFFIXES = (".py", ".json", ".yml", ".yaml")
SAMPLERS = ("SampleFrames", "DenseSampleFrames", "UniformSample", "UntrimmedSampleFrames")
CROPS = ("CenterCrop", "ThreeCrop", "TenCrop")


@dataclass(frozen=True)
class RecognizerConfig:
    """What a config of mmaction2 specifies of a recognizer.

    Attributes:
        name: Class of the backbone.
        options: Its options, and for X3D ``fc1_bias`` of its head.
        input: The clips.
    """

    name: str
    options: Mapping[str, Any]
    input: InputSpec


def find_config(name: str) -> Path | None:
    """Find the config file that a name means.

    Args:
        name: A path, or the name of a config that comes with mmaction2.

    Returns:
        The file; None where the name means none.

    Raises:
        ValueError: It is the path of no file.
    """
    path = Path(name)
    if path.is_file() and path.suffix in SUFFIXES:
        return path
    shipped = {file.stem: file for file in _shipped()}
    if path.name.removesuffix(".py") in shipped and path.parent == Path():
        return shipped[path.name.removesuffix(".py")]
    if path.suffix in SUFFIXES or len(path.parts) > 1 or "-" in name or "_" in name:
        hint = nearest(path.name.removesuffix(".py"), shipped)
        raise ValueError(
            f"backbone 'mmaction:{name}': there is no such config file, and none of that name comes with mmaction2."
            f"{hint} Give the path of a config file, or the name of a class: {', '.join(sorted(FAMILIES))}."
        )
    return None


def read_config(path: Path, *, what: str) -> RecognizerConfig:
    """Read the backbone and the clips from a config of mmaction2. No code in it is run.

    Args:
        path: The config file.
        what: Begins the messages.

    Returns:
        The backbone's class, options and clips.

    Raises:
        ValueError: The file cannot be read, or is no recognizer of the kinds that fit.
    """
    from mmengine import Config
    from mmengine.registry import DefaultScope

    try:
        with DefaultScope.overwrite_default_scope("mmaction"):
            config = Config.fromfile(str(path)).to_dict()
    except Exception as error:  # it is a program, and may fail in any way
        raise ValueError(f"{what}: the config cannot be read ({type(error).__name__}: {error})") from error
    model = config.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("backbone"), Mapping):
        raise ValueError(f"{what}: the config has no model with a backbone; give that of a recogniser")
    if _type(model) not in ("Recognizer2D", "Recognizer3D"):
        raise ValueError(f"{what}: its model is a {_type(model)}; it must be a Recognizer2D or a Recognizer3D")
    options = dict(model["backbone"])
    name = _type(options)
    if name == "SpecvidBackbone":  # of ours: its ``blocks`` are given to create_model
        options = dict(options["backbone"])
        name = _type(options)
    options.pop("type")
    if name not in FAMILIES:
        raise ValueError(
            f"{what}: its backbone is a {name!r}; those that fit are {', '.join(sorted(FAMILIES))} "
            "(for torchvision's and timm's, give the name itself, e.g. 'resnet50' or 'timm:convnext_tiny')"
        )
    if model.get("neck"):
        raise ValueError(f"{what}: it has a neck, {_type(model['neck'])!r}, without which its head makes no sense")
    _check_head(name, model, what)
    if (model.get("cls_head") or {}).get("fc1_bias"):
        options["fc1_bias"] = True
    return RecognizerConfig(name, _plain(without_pretrained(options)), _input(name, model, config, what))


def _shipped() -> Iterator[Path]:
    import mmaction

    yield from (Path(mmaction.__file__).parent / ".mim" / "configs" / "recognition").rglob("*.py")


def _check_head(name: str, model: Mapping[str, Any], what: str) -> None:
    """``ValueError`` for a head whose logits ours cannot be."""
    head = model.get("cls_head") or {}
    pooling = head.get("spatial_type", "avg")
    fine = not head or (_type(head) in FAMILIES[name].heads and (pooling == "avg" or name == "C3D"))
    if not fine:
        raise ValueError(
            f"{what}: its head is {_type(head)!r} with spatial_type={pooling!r}; what specvid has is averaging and a "
            f"linear layer ({', '.join(FAMILIES[name].heads)}). For the backbone alone give 'mmaction:{name}' with "
            "its options"
        )


def _input(name: str, model: Mapping[str, Any], config: Mapping[str, Any], what: str) -> InputSpec:
    usual = FAMILIES[name].input
    changes: dict[str, Any] = {}
    norm = model.get("data_preprocessor") or config.get("data_preprocessor") or {}
    if norm.get("to_rgb"):
        raise ValueError(f"{what}: its data preprocessor swaps red and blue (to_rgb); specvid's clips are RGB as read")
    if norm.get("mean") is not None:
        changes |= {key: tuple(value / 255 for value in norm[key]) for key in ("mean", "std")}
    elif norm:
        changes |= {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}  # mmaction2 gives the network 0 to 255
    train, test = _pipeline(config, "train"), _pipeline(config, "val") + _pipeline(config, "test")
    if sampler := _first(train + test, SAMPLERS):
        changes |= _sampling(sampler, FAMILIES[name].dims, usual)
    if crop := _first(test, CROPS):
        changes["size"] = _side(crop["crop_size"])
    elif exact := _first([step for step in reversed(train) if step.get("keep_ratio") is False], ("Resize",)):
        changes["size"] = _side(exact["scale"])
    if resize := _first(test, ("Resize",)):
        scale = resize["scale"]
        short = min((side for side in scale if side > 0), default=0) if isinstance(scale, (list, tuple)) else 0
        changes |= {"resize": int(short)} if short else {}
    return replace(usual, **changes)


def _sampling(sampler: Mapping[str, Any], dims: int, usual: InputSpec) -> dict[str, int]:
    """Clip length and stride. Image networks get ``num_clips`` single frames from all over the video in mmaction2;
    the stride of their clips stays the usual one.
    """
    if dims == 2:
        frames = sampler.get("clip_len", 1) * (sampler.get("num_clips", 1) if _type(sampler) != "UniformSample" else 1)
        return {"frames": int(frames)}
    stride = sampler.get("frame_interval", usual.stride if _type(sampler) == "UniformSample" else 1)
    return {"frames": int(sampler["clip_len"]), "stride": int(stride)}


def _pipeline(config: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    dataset = (config.get(f"{part}_dataloader") or {}).get("dataset") or {}
    while "dataset" in dataset:  # RepeatDataset and the like
        dataset = dataset["dataset"]
    return list(dataset.get("pipeline") or config.get(f"{part}_pipeline") or [])


def _first(steps: Iterable[Mapping[str, Any]], types: tuple[str, ...]) -> Mapping[str, Any] | None:
    return next((step for step in steps if _type(step) in types), None)


def _side(size: Any) -> int | tuple[int, int]:
    """A crop size of mmaction2, (width, height), as ours."""
    if not isinstance(size, (list, tuple)):
        return int(size)
    width, height = size
    return int(width) if width == height else (int(height), int(width))


def _type(config: Mapping[str, Any]) -> str:
    kind = config.get("type", "")
    return kind.split(".")[-1] if isinstance(kind, str) else kind.__name__


def _plain(value: Any) -> Any:
    """Plain values only, as JSON has them: classes of new-style configs become their names."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.__name__ if isinstance(value, type) else value
