"""What a file says of itself, and how to feed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid import __version__
from specvid.models.video_model import VideoModel
from specvid.pipelines.export.axes import Axes


def facts_of(
    model: VideoModel, axes: Axes, *, feature: str, mask: bool, classes: Sequence[str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON-able. ``input``: the clips it was trained for, ``size`` as (height, width); ``axes``: the sizes of a clip,
    a name where they may vary; ``more``: what else to keep."""
    spec = model.input
    batch, *others = axes.named().values()
    return {
        "specvid": __version__,
        "model": model.config,
        "input": {
            "frames": spec.frames,
            "stride": spec.stride,
            "size": list(spec.crop),
            "resize": spec.resize if isinstance(spec.resize, int) else list(spec.resize),
            "channels": "RGB",
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "axes": [batch, 3, *others],
        "fixed": dict(axes.fixed),
        "inputs": ["clip", "mask"] if mask else ["clip"],
        "output": feature,
        "classes": list(classes),
        **more,
    }


def how_to_feed(facts: Mapping[str, Any], path: Path, to: str) -> str:
    """Lines that say what goes in, what comes out, and the few lines of Python that do it."""
    given, sizes = facts["input"], facts["axes"]
    height, width = given["size"]
    shape = ", ".join(map(str, sizes))
    feed = "{'clip': clip, 'mask': mask}" if len(facts["inputs"]) > 1 else "{'clip': clip}"
    arguments = ", ".join(facts["inputs"])
    lines = [
        f"clip: float32 ({shape}), RGB, (pixel / 255 - mean) / std",
        f"  mean {tuple(given['mean'])}, std {tuple(given['std'])}",
        f"  trained on {given['frames']} frames, {given['stride']} apart in the video, {height} x {width} px "
        f"(cut from {_resize(given['resize'])})",
    ]
    if len(facts["inputs"]) > 1:
        lines.append(f"mask: bool ({sizes[0]}, {sizes[2]}), True = real frame")
    names = f", named in {'metadata_props' if to == 'onnx' else 'specvid.json'}" if facts["classes"] else ""
    lines.append(f"{facts['output']}: float32 ({sizes[0]}, {facts['dim']}){names}")
    if to == "onnx":
        lines.append(f"  session = onnxruntime.InferenceSession({str(path)!r})")
        lines.append(f"  ({facts['output']},) = session.run(None, {feed})")
        lines.append("  facts = json.loads(session.get_modelmeta().custom_metadata_map['specvid'])")
    else:
        lines.append(f"  files = {{'specvid.json': ''}}; program = torch.export.load({str(path)!r}, extra_files=files)")
        lines.append(f"  {facts['output']} = program.module()({arguments}); facts = json.loads(files['specvid.json'])")
    return "\n".join(lines)


def _resize(resize: int | Sequence[int]) -> str:
    return f"a short side of {resize}" if isinstance(resize, int) else f"{resize[0]} x {resize[1]}"
