"""Caffe2's names for ResNets of video-nonlocal-net and SlowFast: ``res2_0_branch2a_w``, ``nonlocal_conv3_1_theta_w``.

Their ``.pkl`` files are pickles of arrays (``blobs``), which `specvid.tools.weights.convert` reads without running any
code. The names are those of two projects whose networks have other strides, so a variant must be named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_STEM = "conv1_w"
_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}  # riv: Caffe2 saves the variance in it
_PLAIN = {"w": "weight", "b": "bias"}
_BODY = re.compile(r"res(?P<stage>\d)_(?P<child>\d+)_branch(?P<branch>1|2[abc])(?P<norm>_bn)?_(?P<end>w|b|s|rm|riv)")
_BLOCK = re.compile(r"nonlocal_conv(?P<stage>\d)_(?P<child>\d+)_(?P<layer>theta|phi|g|out|bn)_(?P<end>w|b|s|rm|riv)")


def from_caffe2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate Caffe2's names, where a checkpoint has them.

    Args:
        state: tensors by name.

    Returns:
        The body under torchvision's names, blocks under SlowFast's; all else (momenta, the learning rate) and any other
        checkpoint as it is.
    """
    if _STEM not in state:
        return dict(state)
    return {_translate(name): tensor for name, tensor in state.items()}


def _translate(name: str) -> str:
    if match := _BODY.fullmatch(name):
        layer = f"layer{int(match['stage']) - 1}.{match['child']}"
        if match["branch"] == "1":
            part = f"downsample.{1 if match['norm'] else 0}"
        else:
            part = f"{'bn' if match['norm'] else 'conv'}{'abc'.index(match['branch'][1]) + 1}"
        end = (_NORM if match["norm"] else _PLAIN).get(match["end"])
        return f"{layer}.{part}.{end}" if end else name
    if match := _BLOCK.fullmatch(name):
        norm = match["layer"] == "bn"
        end = (_NORM if norm else _PLAIN).get(match["end"])
        part = "bn" if norm else f"conv_{match['layer']}"
        return f"s{match['stage']}.pathway0_nonlocal{match['child']}.{part}.{end}" if end else name
    if match := re.fullmatch(r"res_conv1_bn_(\w+)", name):
        return f"bn1.{_NORM[match[1]]}" if match[1] in _NORM else name
    return {_STEM: "conv1.weight", "pred_w": "fc.weight", "pred_b": "fc.bias"}.get(name, name)
