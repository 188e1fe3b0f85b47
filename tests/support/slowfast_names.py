"""SlowFast's names of an I3D-ResNet."""

from torch import Tensor


def slowfast_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an I3D under SlowFast's names."""
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if not parts[0].startswith("layer"):
            renamed[f"s1.pathway0_stem.{parts[0].rstrip('1')}.{parts[1]}"] = tensor
            continue
        kind, parameter = parts[2], parts[-1]
        letter = "abc"[int(kind[-1]) - 1] if kind[-1].isdigit() else ""
        layer = {
            "conv": f"branch2.{letter}",
            "bn": f"branch2.{letter}_bn",
            "downsample": "branch1" if parts[3] == "0" else "branch1_bn",
        }[kind.rstrip("123")]
        renamed[f"s{int(parts[0][-1]) + 1}.pathway0_res{parts[1]}.{layer}.{parameter}"] = tensor
    return renamed
