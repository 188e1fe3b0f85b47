"""The metadata in an exported file, and how to feed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid import __version__
from specvid.datasets.clips.motion import BOUND, SHORT_SIDE
from specvid.modality import INTERPOLATIONS
from specvid.models.video_model import VideoModel
from specvid.pipelines.export.axes import BYTES, IMAGES, Axes

_CHANNELS = {
    "rgb": "RGB",
    "flow": "optical flow from each frame to the next: x to the right, y downwards, in px of frames with a short side "
    f"of at most {SHORT_SIDE}, as bytes round((v + {BOUND:g}) * 255 / {2 * BOUND:g})",
    "rgb-diff": "RGB differences of consecutive frames, as bytes round((next - this) / 2 + 127.5)",
}

_ORDER = {
    "clip": "batch, channels, time, height, width",
    "frames": "batch, time, height, width, channels",
    "images": "batch, channels, height, width",
    "pixels": "batch, height, width, channels",
}


def file_metadata(
    model: VideoModel, axes: Axes, *, feature: str, mask: bool, classes: Sequence[str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The metadata of a file, JSON-able.

    Args:
        model: what is exported.
        axes: of the clips.
        feature: what the file gives.
        mask: whether a mask is its second input.
        classes: names of the logits.
        more: further entries.

    Returns:
        Among others ``input``: the clips it was trained for, ``size`` as [height, width], that of the file where it
        takes no other; ``axes``: the sizes of a clip, a name where they may vary.
    """
    spec, resize = model.input, model.input.resize
    size, own = axes.sizes[3:], model.input.crop
    if not axes.fixed.keys() >= {"height", "width"}:
        size = own  # the file takes others, too
    elif isinstance(resize, int):
        resize = round(resize * max(size[0] / own[0], size[1] / own[1]))
    else:
        resize = round(resize[0] * size[0] / own[0]), round(resize[1] * size[1] / own[1])
    return {
        "specvid": __version__,
        "model": model.config,
        "input": {
            "frames": 1 if axes.input in IMAGES else spec.frames,
            "stride": spec.stride,
            "size": list(size),
            "resize": resize if isinstance(resize, int) else list(resize),
            "interpolation": INTERPOLATIONS[spec.interpolation],
            "crop": "centre: top = (height - crop height) // 2, left = (width - crop width) // 2",
            "modality": spec.modality,
            "channels": _CHANNELS[spec.modality],
            "order": _ORDER[axes.input],
            "dtype": "uint8" if axes.input in BYTES else "float32",
            "normalise": f"{'inside: ' if axes.input in BYTES else ''}(pixel / 255 - mean) / std",
            "sampling": model.sampling,
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "axes": axes.shape(),
        "fixed": dict(axes.fixed),
        "inputs": [axes.input, "mask"] if mask else [axes.input],
        "output": feature,
        "classes": list(classes),
        **more,
    }


def how_to_feed(metadata: Mapping[str, Any], path: Path, to: str) -> str:
    """Lines about what goes in, what comes out, and the few lines of Python that do it.

    Args:
        metadata: as `file_metadata` makes it.
        path: of the file.
        to: its format.

    Returns:
        The lines as one text.
    """
    given, sizes = metadata["input"], metadata["axes"]
    height, width = given["size"]
    shape = ", ".join(map(str, sizes))
    feed = "{" + ", ".join(f"{name!r}: {name}" for name in metadata["inputs"]) + "}"
    arguments = ", ".join(metadata["inputs"])
    taken = (
        "single frames" if given["frames"] == 1 else f"{given['frames']} frames, {given['stride']} apart in the video"
    )
    lines = [
        f"{metadata['inputs'][0]}: {given['dtype']} ({shape}), {given['channels']}, {given['normalise']}",
        f"  mean {tuple(given['mean'])}, std {tuple(given['std'])}",
        f"  made for {taken}, {height} x {width} px "
        f"(the centre of {_resize(given['resize'])}; resized: {given['interpolation']})",
    ]
    if len(metadata["inputs"]) > 1:
        lines.append(
            f"mask: bool ({sizes[0]}, {sizes[2 if metadata['inputs'][0] == 'clip' else 1]}), True = real frame"
        )
    names = f", named in {'metadata_props' if to == 'onnx' else 'specvid.json'}" if metadata["classes"] else ""
    unit = ", of unit length" if metadata["l2"] else ""
    lines.append(f"{metadata['output']}: float32 ({sizes[0]}, {metadata['dim']}){unit}{names}")
    if to == "onnx":
        lines.append(f"  session = onnxruntime.InferenceSession({str(path)!r})")
        lines.append(f"  ({metadata['output']},) = session.run(None, {feed})")
        lines.append("  metadata = json.loads(session.get_modelmeta().custom_metadata_map['specvid'])")
    else:
        lines.append(f"  files = {{'specvid.json': ''}}; program = torch.export.load({str(path)!r}, extra_files=files)")
        lines.append(
            f"  {metadata['output']} = program.module()({arguments}); metadata = json.loads(files['specvid.json'])"
        )
    return "\n".join(lines)


def _resize(resize: int | Sequence[int]) -> str:
    return f"a short side of {resize}" if isinstance(resize, int) else f"{resize[0]} x {resize[1]}"
