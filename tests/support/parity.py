"""Logits here and logits there, in float64, from one checkpoint with random weights: `CASES`, by source and network.

    PYTHONPATH=tests/support python -m parity [SOURCE ...]        # measures and prints the table of docs/weights.md

The source's own network is built by the source's own code where that is installed (torchvision, timm, mmaction2), and
written from its tensors otherwise (`source_networks`).
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmaction_families
import source_networks
import torch
from synthetic_checkpoints import conv, linear, mmaction_resnet, norm, prefixed, resnet, torchvision_names
from torch import Tensor, nn
from trained_norms import randomise_norms

import specvid
from specvid.text import to_markdown

CLASSES = 6
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """``how``: what the logits are compared with; ``logits``: ours and theirs, given an empty folder."""

    source: str
    network: str
    how: str
    logits: Callable[[Path], Pair]
    slow: bool = False

    @property
    def name(self) -> str:
        return f"{self.source}-{self.network}"

    def error(self, folder: Path) -> float:
        """Largest difference of two logits, over the largest logit."""
        torch.manual_seed(0)
        with torch.no_grad():
            ours, theirs = self.logits(folder)
        assert ours.dtype == theirs.dtype == torch.float64 and ours.shape == theirs.shape
        assert theirs.std() > 1e-4, "logits that say nothing"
        return float((ours - theirs).abs().max() / theirs.abs().max())


def load(folder: Path, checkpoint: object, name: str, **options: Any) -> nn.Module:
    """Our model with a checkpoint of which nothing may be missing or left over, in float64."""
    torch.save(checkpoint, folder / "file.pth")
    model = specvid.create_model(name, num_classes=CLASSES, weights=str(folder / "file.pth"), **options)
    assert not model.loaded.missing and not model.loaded.mismatched, model.loaded
    return model.eval().double()


def per_frame(network: nn.Module, clip: Tensor) -> Tensor:
    return torch.stack([network(clip[:, :, t]) for t in range(clip.shape[2])]).mean(0)


def clip(frames: int, size: int) -> Tensor:
    return torch.randn(2, 3, frames, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


VIDEO = {"s3d": (16, 224), "mvit_v1_b": (16, 224), "mvit_v2_s": (16, 224)}
QUICK = ("r3d_18", "resnet18", "mobilenet_v2")


def torchvision_logits(name: str) -> Callable[[Path], Pair]:
    def logits(folder: Path) -> Pair:
        import torchvision

        network = torchvision.models.get_model(name, weights=None, num_classes=CLASSES).eval()
        randomise_norms(network)
        model = load(folder, {"state_dict": network.state_dict()}, name)
        network.double()
        if model.dims == 3:
            x = clip(*VIDEO.get(name, (8, 64)))[:1]
            return model(x), network(x)
        x = clip(2, 64)
        return model(x), per_frame(network, x)

    return logits


def kenshohara_logits(depth: int, shortcut: str) -> Callable[[Path], Pair]:
    def logits(folder: Path) -> Pair:
        state = resnet(depth, dims=3, shortcut=shortcut) | linear("fc", CLASSES, 2048 if depth == 50 else 512)
        model = load(folder, {"state_dict": prefixed("module.", state)}, f"resnet3d_{depth}", shortcut=shortcut)
        x = clip(9, 40)
        return model(x), source_networks.resnet3d({key: tensor.double() for key, tensor in state.items()}, x, depth)

    return logits


def i3d_logits(project: str) -> Callable[[Path], Pair]:
    def logits(folder: Path) -> Pair:
        from slowfast_names import slowfast_names

        state = torchvision_names(mmaction_resnet(50, dims=3, i3d=True)) | linear("fc", CLASSES, 2048)
        body = {key: tensor for key, tensor in state.items() if not key.startswith("fc") and "num_batches" not in key}
        theirs = {"model_state": slowfast_names(body) | {f"head.projection.{key}": state[f"fc.{key}"] for key in WB}}
        slowfast = project == "slowfast"
        options = {} if slowfast else {"variant": project}
        model = load(folder, theirs if slowfast else state, "i3d_r50", **options)
        x = clip(8, 64)
        return model(x), source_networks.i3d_r50({key: tensor.double() for key, tensor in state.items()}, x, project)

    return logits


WB = ("weight", "bias")


def mmaction_logits(ours: str, kind: str, **settings: Any) -> Callable[[Path], Pair]:
    """``ours``: our backbone; ``kind``: the family, whose case may have other ``settings``."""

    def logits(folder: Path) -> Pair:
        case = mmaction_families.CASES[kind]
        case = mmaction_families.Case(**{**vars(case), **settings})
        own = specvid.create_model(f"mmaction:{case.name}", **case.options) if ours == "mmaction" else None
        features = own.feature_dim if own else (2048 if case.options["depth"] == 50 else 512)
        config = mmaction_families.recogniser_config(case, features)
        config["cls_head"]["num_classes"] = CLASSES
        recogniser = mmaction_families.build_recogniser(config)
        options = case.options if own else ({"blocks": "tsm@residual"} if kind == "tsm" else {})
        name = f"mmaction:{case.name}" if own else ours
        model = load(folder, {"state_dict": recogniser.state_dict()}, name, **options)
        x = case.clip().double()
        if kind == "tin":  # its shift computes in float32 alone
            return model.float()(x.float()).double(), mmaction_families.logits_of(recogniser, case, x.float()).double()
        return model(x), mmaction_families.logits_of(recogniser.double(), case, x)

    return logits


MMACTION_I3D = {
    "options": {
        "depth": 50,
        "pretrained": None,
        "pretrained2d": False,
        "conv1_kernel": (5, 7, 7),
        "conv1_stride_t": 2,
        "pool1_stride_t": 2,
        "inflate": ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
    },
    "frames": 16,
    "size": 64,
}


def timm_logits(name: str, size: int, **options: Any) -> Callable[[Path], Pair]:
    def logits(folder: Path) -> Pair:
        import timm

        network = timm.create_model(name, num_classes=CLASSES, **options).eval()
        randomise_norms(network)
        model = load(folder, network.state_dict(), f"timm:{name}", **options)
        x = clip(2, size)
        return model(x), per_frame(network.double(), x)

    return logits


def body_50(state: dict[str, Tensor], last_stride: int = 2) -> nn.Module:
    """torchvision's ResNet-50 without its classifier: the body of torchreid's and fast-reid's."""
    import torchvision

    network = torchvision.models.resnet50(weights=None).eval()
    network.fc = nn.Identity()
    network.load_state_dict(state)
    for layer in (network.layer4[0].conv2, network.layer4[0].downsample[0]):
        layer.stride = (last_stride, last_stride)
    return network.double()


def torchreid_logits(folder: Path) -> Pair:
    state, head = resnet(50, dims=2), linear("classifier", CLASSES, 2048)
    model = load(folder, {"state_dict": prefixed("module.", state | head)}, "resnet50", last_stride=1)
    x = clip(2, 64)
    features = per_frame(body_50(state, last_stride=1), x)
    return model(x), features @ head["classifier.weight"].double().T + head["classifier.bias"]


def fast_reid_logits(folder: Path) -> Pair:
    """Pooled, embedded by a 1x1 convolution, BNNeck, a classifier without bias."""
    state = resnet(50, dims=2)
    neck = conv("heads.bottleneck.0", 10, 2048, 1, 1) | norm("heads.bottleneck.1", 10)
    neck["heads.bottleneck.1.bias"].zero_()
    complete = prefixed("backbone.", state) | neck | {"heads.weight": torch.randn(CLASSES, 10)}
    model = load(folder, {"model": complete}, "resnet50", neck="bnneck", embedding_dim=10, last_stride=1)
    wide = {key: tensor.double() for key, tensor in complete.items()}
    x = clip(2, 64)
    projected = per_frame(body_50(state, last_stride=1), x) @ wide["heads.bottleneck.0.weight"][..., 0, 0].T
    return model(x), source_networks.norm(wide, "heads.bottleneck.1", projected) @ wide["heads.weight"].T


def _cases() -> Iterator[Case]:
    import torchvision

    for name in sorted(set(specvid.list_backbones()) & set(torchvision.models.list_models())):
        yield Case("torchvision", name, "its own network", torchvision_logits(name), slow=name not in QUICK)
    live = "its own recogniser"
    yield Case("mmaction2", "i3d_r50", live, mmaction_logits("i3d_r50", "i3d", **MMACTION_I3D))
    for depth in (18, 50):
        tsn, tsm = {"options": {"depth": depth}}, {"options": {"depth": depth, "num_segments": 4}}
        slow = depth == 50
        yield Case("mmaction2", f"resnet{depth} (TSN)", live, mmaction_logits(f"resnet{depth}", "tsn", **tsn), slow)
        yield Case("mmaction2", f"resnet{depth} (TSM)", live, mmaction_logits(f"resnet{depth}", "tsm", **tsm), slow)
    for kind, case in mmaction_families.CASES.items():
        how = f"{live}, in float32" if kind == "tin" else live
        yield Case("mmaction2", f"mmaction:{case.name} ({kind})", how, mmaction_logits("mmaction", kind), kind != "i3d")
    formula = "its code, written again from the tensors alone"
    for project in source_networks.I3D:
        yield Case(project, "i3d_r50", formula, i3d_logits(project))
    for depth, shortcut in ((18, "A"), (18, "B"), (50, "B")):
        name = f"resnet3d_{depth}, shortcut {shortcut}"
        yield Case("kenshohara's 3D-ResNets", name, formula, kenshohara_logits(depth, shortcut), depth == 50)
    head = "torchvision's ResNet-50 and its head, written again"
    yield Case("torchreid", "resnet50", head, torchreid_logits)
    yield Case("fast-reid", "resnet50", head, fast_reid_logits)
    for name, size, options in (
        ("resnet18", 64, {}),
        ("vit_tiny_patch16_224", 32, {"img_size": 32}),
        ("efficientnet_lite0", 64, {}),
        ("convnext_atto", 64, {}),
        ("swin_tiny_patch4_window7_224", 224, {}),
    ):
        yield Case("timm", f"timm:{name}", "its own network", timm_logits(name, size, **options), name != "resnet18")


CASES = {case.name: case for case in _cases()}


def main() -> None:
    rows: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for case in (case for case in CASES.values() if case.source in (sys.argv[1:] or case.source)):
        with tempfile.TemporaryDirectory() as folder:
            error = case.error(Path(folder))
        print(f"{case.name}: {error:.1e}", file=sys.stderr, flush=True)
        rows.setdefault((case.source, case.how), []).append((case.network, error))
    table = [["source", "networks", "logits compared with", "largest relative error"]]
    for (source, how), cases in rows.items():
        names = ", ".join(f"`{name}`" for name, _ in cases)
        table.append([source, names, how, f"{max(error for _, error in cases):.1e}"])
    print(to_markdown(table))


if __name__ == "__main__":
    main()
