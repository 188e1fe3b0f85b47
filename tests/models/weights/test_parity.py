"""For every backbone and source of docs/weights.md: the logits are those of the source's own network."""

from pathlib import Path

import pytest
import torch
from parity import CASES, CLASSES, MMACTION_I3D, Case, i3d_logits, load
from synthetic_checkpoints import linear, mmaction_resnet, prefixed, torchvision_names

import specvid
from specvid.models.weights import load_weights, save_weights

PACKAGES = {"mmaction2": "mmaction.models", "timm": "timm"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=[pytest.mark.slow] * case.slow) for name, case in CASES.items()]
)
def test_logits_are_those_at_home(case: Case, tmp_path: Path) -> None:
    if case.source in PACKAGES:
        pytest.importorskip(PACKAGES[case.source], reason=f"pip install 'specvid[{case.source.rstrip('2')}]'")
    assert case.error(tmp_path) < (1e-5 if "(tin)" in case.name else 1e-9)


def video_state(kind: str) -> dict:
    state = mmaction_resnet(50, dims=3, i3d=True)
    head = linear("fc", CLASSES, 2048)
    if kind == "mmaction2":
        return prefixed("backbone.", state) | prefixed("cls_head.", linear("fc_cls", CLASSES, 2048))
    return torchvision_names(state) | head


def test_an_i3d_takes_over_the_variant_of_its_weights(tmp_path: Path) -> None:
    model = load(tmp_path, {"state_dict": video_state("mmaction2")}, "i3d_r50")
    assert (model.config["variant"], model.config["time_padding"]) == ("mmaction2", "zeros")
    assert "variant='mmaction2'" in str(model.loaded)
    again = specvid.create_model(**model.config).eval().double()
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 8, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(model(x), again(x))
    save_weights(model, tmp_path / "ours.safetensors")
    bare = specvid.create_model("i3d_r50", num_classes=CLASSES, weights=str(tmp_path / "ours.safetensors"))
    assert bare.config == model.config
    with torch.no_grad():
        assert torch.equal(bare.eval().double()(x), model(x))


def test_slowfast_brings_its_clips(tmp_path: Path) -> None:
    i3d_logits("slowfast")(tmp_path)
    model = specvid.create_model("i3d_r50", num_classes=CLASSES, weights=str(tmp_path / "file.pth"))
    assert (model.input.frames, model.input.stride, model.input.mean) == (8, 8, (0.45, 0.45, 0.45))
    own = specvid.create_model("i3d_r50", input={"frames": 16}, weights=str(tmp_path / "file.pth"))
    assert (own.input.frames, own.input.stride) == (16, 8)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("mmaction2", {"variant": "paper"}, "with variant='mmaction2', but the model was created with variant='paper'"),
        ("mmaction2", {"time_padding": "replicate"}, "with time_padding='zeros', but .* with time_padding='replicate'"),
        (
            "port",
            {},
            "do not determine, with strides and pools.*variant='paper', variant='mmaction2'.*'pytorch-resnet3d'",
        ),
        ("port", {"variant": "tushar"}, "variant 'tushar' is unknown"),
    ],
)
def test_what_would_compute_something_else_is_refused(kind: str, options: dict, message: str, tmp_path: Path) -> None:
    torch.save({"state_dict": video_state(kind)}, tmp_path / "file.pth")
    with pytest.raises(ValueError, match=message):
        specvid.create_model("i3d_r50", num_classes=CLASSES, weights=str(tmp_path / "file.pth"), **options)
    if options:
        return
    model = specvid.create_model("i3d_r50", num_classes=CLASSES)
    assert "do not determine" in str(load_weights(model, tmp_path / "file.pth", strict=False))


def test_the_table_in_the_docs_names_every_case() -> None:
    page = (Path(__file__).parents[3] / "docs" / "weights.md").read_text(encoding="utf-8")
    missing = [case.name for case in CASES.values() if f"`{case.network}`" not in page or case.source not in page]
    assert not missing


def test_the_case_of_mmaction2_is_its_published_config() -> None:
    config = pytest.importorskip("mmengine.config", reason="pip install 'specvid[mmaction]'").Config
    mmaction = pytest.importorskip("mmaction")
    path = Path(mmaction.__file__).parent / ".mim" / "configs" / "_base_" / "models" / "i3d_r50.py"
    backbone = config.fromfile(str(path)).model.backbone
    ours = MMACTION_I3D["options"]
    assert {key: backbone[key] for key in ours if key in backbone and "pretrained" not in key} == {
        key: value for key, value in ours.items() if "pretrained" not in key
    }
