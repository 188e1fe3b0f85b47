"""Each of mmaction2's families computes, as our model, what its own recogniser computes, from its checkpoint."""

from pathlib import Path

import pytest
import torch
from mmaction_families import CASES, CLASSES, build_recogniser, logits_of, recogniser_config

import specvid
from specvid.models import create_model

pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")


@pytest.mark.parametrize("kind", CASES)
def test_logits_from_config_and_checkpoint_are_those_of_mmaction2(kind: str, tmp_path: Path) -> None:
    from mmengine.runner import save_checkpoint

    case = CASES[kind]
    features = create_model(f"mmaction:{case.name}", **case.options).feature_dim
    config = recogniser_config(case, features)
    recogniser = build_recogniser(config)
    (tmp_path / "config.py").write_text(f"model = {config!r}\n")
    meta = {"dataset_meta": {"classes": list("abcde")}, "mmengine_version": "0.10.7", "epoch": 1, "iter": 10}
    save_checkpoint({"meta": meta, "state_dict": recogniser.state_dict()}, str(tmp_path / "weights.pth"))

    ours = create_model(f"mmaction:{tmp_path / 'config.py'}", num_classes=CLASSES, weights=tmp_path / "weights.pth")
    assert not ours.loaded.missing
    assert not ours.loaded.unexpected
    assert not ours.loaded.mismatched
    clip = case.clip()
    with torch.no_grad():
        want = logits_of(recogniser, case, clip)
        torch.testing.assert_close(ours.eval()(clip), want, rtol=1e-5, atol=1e-5)
        assert want.std() > 1e-3  # not constant
        again = create_model(**ours.config)  # without the config file
        again.load_state_dict(ours.state_dict())
        assert torch.equal(again.eval()(clip), ours(clip))
        assert again.input == ours.input


def test_tsm_is_the_resnet_with_our_shifts() -> None:
    """ResNetTSM, and its weights in ResNet with ``tsm@residual``."""
    torch.manual_seed(0)
    tsm = create_model("mmaction:ResNetTSM", depth=18, num_segments=4).eval()
    plain = create_model("mmaction:ResNet", depth=18, blocks="tsm@residual").eval()
    plain.load_state_dict({name.replace(".conv.net.", ".conv."): t for name, t in tsm.state_dict().items()})
    clip = CASES["tsm"].clip()
    with torch.no_grad():
        torch.testing.assert_close(plain.embed(clip), tsm.embed(clip), rtol=1e-5, atol=1e-5)


def test_the_maps_of_slowfast_average_to_its_vector() -> None:
    case = CASES["slowfast"]
    model = specvid.create_model(f"mmaction:{case.name}", **case.options).eval()
    clip = case.clip()
    with torch.no_grad():
        slow, fast = model.backbone.forward(clip)  # without the hook: as mmaction2 gives them
        features = model.forward_features(clip)
    assert (slow.shape[2], fast.shape[2]) == (2, 8)
    assert features.shape == (2, 32 * 8 + 4 * 8, 2, 1, 1)
    torch.testing.assert_close(features.mean((2, 3, 4)), torch.cat([fast.mean((2, 3, 4)), slow.mean((2, 3, 4))], 1))
