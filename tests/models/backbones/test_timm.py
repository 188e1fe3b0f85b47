"""timm's networks as ours: their own logits, their own weights, blocks where features are maps."""

from pathlib import Path

import pytest
import torch

from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock

timm = pytest.importorskip("timm", reason="pip install 'specvid[timm]'")

# name, options, side of the frames
NETWORKS = [
    ("resnet18", {}, 64),
    ("vit_tiny_patch16_224", {"img_size": 32}, 32),
    pytest.param("efficientnet_lite0", {}, 64, marks=pytest.mark.slow),
    pytest.param("convnext_atto", {}, 64, marks=pytest.mark.slow),
    pytest.param("swin_tiny_patch4_window7_224", {}, 224, marks=pytest.mark.slow),
    pytest.param("deit_tiny_distilled_patch16_224", {"img_size": 32}, 32, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "options", "size"), NETWORKS)
def test_logits_are_those_of_timm(name: str, options: dict, size: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=7, **options).eval()
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    if "distilled" in name:  # two classifiers: not ours
        network.head_dist = network.head
    model = create_model(f"timm:{name}", num_classes=7, weights=tmp_path / "timm.pth", **options).eval()
    assert not model.loaded.missing and not model.loaded.mismatched
    clip = torch.randn(2, 3, 2, size, size)
    with torch.no_grad():
        frames = torch.stack([network(clip[:, :, t]) for t in range(2)])
        torch.testing.assert_close(model(clip), frames.mean(0), rtol=1e-4, atol=1e-5)
        assert model.forward_features(clip).shape[:3] == (2, model.feature_dim, 2)


def test_tokens_go_to_their_places() -> None:
    """A shift of time between the layers of a ViT: patch tokens move from frame to frame, the class token stays."""
    torch.manual_seed(0)
    model = create_model("timm:vit_tiny_patch16_224", img_size=32, blocks="tsm(fold_div=2)@blocks.3").eval()
    (inserted,) = (module for module in model.modules() if isinstance(module, InsertedBlock))
    seen = []
    inserted.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    with torch.no_grad():
        model.embed(torch.randn(1, 3, 3, 32, 32))
    ((before, after),) = seen  # (frames, class token and 2 x 2 patches, channels)
    want = torch.zeros(3, 5, 192)
    want[:, 0] = before[:, 0]
    want[:2, 1:, :96] = before[1:, 1:, :96]
    want[1:, 1:, 96:] = before[:2, 1:, 96:]
    assert torch.equal(after, want)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet81", {}, "'timm:resnet81' is unknown.*Did you mean 'resnet"),
        ("resnet18", {"pretrained": True}, "'pretrained' of backbone 'timm:resnet18' is not timm's to decide here"),
        ("resnet18", {"blocks": "snl@layer5"}, "place 'layer5' is unknown.*Did you mean 'layer4'"),
        ("vit_tiny_patch16_224", {"input": {"size": 32}}, "built for 224 and takes nothing else.*img_size="),
        (
            "vit_tiny_patch16_224",
            {"img_size": 32, "blocks": "snl@blocks.end"},
            "reads the class token alone; put it before",
        ),
        ("convnext_atto", {"blocks": "snl@stages.1.blocks.0.mlp"}, "known only before and after whole stages"),
    ],
)
def test_mistakes(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(f"timm:{name}", **options)
