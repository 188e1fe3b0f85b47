"""Weights: names are matched whatever wraps them, all that is left over is reported, wrong files are refused."""

import argparse
import json
from collections import OrderedDict

import pytest
import torch
from checksums import sha256
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from specvid.models import create_model
from specvid.models.video_model import VideoModel
from specvid.models.weights import load_weights, save_weights
from specvid.models.weights.read import read_weights


def model_of(seed: int, name: str = "r3d_tiny", num_classes: int | None = 5, blocks: str = "") -> VideoModel:
    torch.manual_seed(seed)
    return create_model(name, num_classes=num_classes, blocks=blocks)


def published(model: VideoModel, classifier: str = "fc") -> dict[str, Tensor]:
    """The state of ``model`` under the names of a published checkpoint."""
    state = {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}
    return {name.replace("head.classifier", classifier): value for name, value in state.items()}


def assert_same(model: VideoModel, other: VideoModel) -> None:
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "backbone.", "module.backbone.", "_orig_mod.", "net.encoder."]
)
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("classifier", ["fc", "classifier", "head"])
def test_published_checkpoints_load_whatever_wraps_them(
    tmp_path, prefix: str, wrapper: str | None, classifier: str
) -> None:
    source, model = model_of(0), model_of(1)
    state = {prefix + name: value for name, value in published(source, classifier).items()}
    torch.save({wrapper: OrderedDict(state), "epoch": 3} if wrapper else state, tmp_path / "file.pth")
    report = load_weights(model, tmp_path / "file.pth")
    assert_same(model, source)
    assert not (report.missing)
    assert not (report.unexpected)
    assert not (report.mismatched)
    assert set(report.matched) == set(model.state_dict())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.net."])
def test_own_checkpoints_load_whatever_wraps_them(tmp_path, prefix: str) -> None:
    source, model = model_of(0, blocks="snl@layer2"), model_of(1, blocks="snl@layer2")
    state = {prefix + name: value.contiguous() for name, value in source.state_dict().items()}
    save_file(state, tmp_path / "file.safetensors")
    report = load_weights(model, tmp_path / "file.safetensors")
    assert_same(model, source)
    assert not (report.missing)
    assert not (report.unexpected)
    assert not (report.mismatched)


def test_classifier_in_the_head_of_another_project(tmp_path) -> None:
    source, model = model_of(0), model_of(1)
    state = {f"backbone.{name}": value for name, value in published(source, "fc").items() if not name.startswith("fc")}
    state |= {
        name.replace("fc", "cls_head.fc_cls"): value for name, value in published(source, "fc").items() if "fc." in name
    }
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "file.pth")
    load_weights(model, tmp_path / "file.pth")
    assert_same(model, source)


def test_classifier_of_other_classes_is_reported_and_skipped(tmp_path) -> None:
    source, model = model_of(0, num_classes=400), model_of(1)
    before = model.head.classifier.weight.clone()
    torch.save(published(source), tmp_path / "file.pth")
    report = load_weights(model, tmp_path / "file.pth")
    assert report.mismatched["head.classifier.weight"] == "(400, 64) in the file, (5, 64) in the model"
    assert set(report.mismatched) == {"head.classifier.weight", "head.classifier.bias"}
    assert torch.equal(model.head.classifier.weight, before)
    assert_same_backbone(model, source)
    assert "mismatched: head.classifier.weight: (400, 64) in the file, (5, 64) in the model" in str(report)


def test_classifier_without_a_place_is_reported(tmp_path) -> None:
    source, model = model_of(0), model_of(1, num_classes=None)
    torch.save(published(source), tmp_path / "file.pth")
    report = load_weights(model, tmp_path / "file.pth")
    assert report.unexpected == {"fc.weight": "no such part in the model", "fc.bias": "no such part in the model"}
    assert_same_backbone(model, source)


def test_features_alone_leave_the_classifier_and_blocks_as_they_are(tmp_path) -> None:
    source, model = model_of(0, num_classes=None), model_of(1, blocks="snl@layer2")
    torch.save(source.backbone.state_dict(), tmp_path / "file.pth")
    report = load_weights(model, tmp_path / "file.pth")
    assert report.missing["head.classifier.weight"] == "not in the file; it stays as it is"
    assert {why for name, why in report.missing.items() if ".snl_" in name} == {
        "an inserted block, which stays as it is"
    }
    assert len(report.matched) == len(source.backbone.state_dict())


def test_old_files_without_counters_are_complete(tmp_path) -> None:
    source, model = model_of(0), model_of(1)
    state = {name: value for name, value in published(source).items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "file.pth")
    assert not load_weights(model, tmp_path / "file.pth").missing


def assert_same_backbone(model: VideoModel, other: VideoModel) -> None:
    theirs = other.backbone.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (
            "mc3_18",
            "r3d_18",
            r"12 tensors of another shape \(backbone.layer2.0.conv1.0.weight: \(128, 64, 1, 3, 3\) in the file",
        ),
        ("resnet18", "resnet50", r"tensors missing \(backbone.layer1.0.conv3.weight and .*tensors of another shape"),
        (
            "resnet50",
            "resnet18",
            r"tensors unexpected \(layer1.0.conv3.weight and .* more: the backbone has no such tensor",
        ),
        (
            "mobilenet_v2",
            "r3d_tiny",
            r"not one of its 31\d tensors belongs to this backbone \(the file has 'features.0.0",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_one_clear_error(tmp_path, theirs: str, ours: str, message: str) -> None:
    torch.save(published(model_of(0, theirs)), tmp_path / "file.pth")
    model, twin = model_of(1, ours), model_of(1, ours)
    with pytest.raises(ValueError, match=f"file.pth' do not fit '{ours}': .*{message}"):
        load_weights(model, tmp_path / "file.pth")
    assert_same(model, twin)  # nothing was loaded


def test_weights_of_blocks_are_not_dropped_silently(tmp_path) -> None:
    source = model_of(0, blocks="snl@layer2")
    save_weights(source, tmp_path / "file.safetensors")
    bare, moved = model_of(1), model_of(1, blocks="snl@layer1")
    for model in (bare, moved):
        with pytest.raises(ValueError, match=r"unexpected .*layer2.snl_before_1.*\), or the --model and --blocks that"):
            load_weights(model, tmp_path / "file.safetensors")
    report = load_weights(bare, tmp_path / "file.safetensors", strict=False)
    assert all(name.startswith("backbone.layer2.snl_before_1.") for name in report.unexpected)
    assert_same_backbone(bare, bare)
    assert torch.equal(bare.head.classifier.weight, source.head.classifier.weight)
    other = model_of(1, blocks="snl(reduction=4)@layer2")
    with pytest.raises(ValueError, match=r"of another shape \(backbone.layer2.snl_before_1"):
        load_weights(other, tmp_path / "file.safetensors")


def test_broken_and_dangerous_files(tmp_path) -> None:
    model = model_of(0)
    (tmp_path / "noise.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "noise.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_bytes(b"abc")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "plain.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"state_dict": published(model), "args": argparse.Namespace(lr=0.1)}, tmp_path / "code.pth")
    (tmp_path / "folder.pth").mkdir()
    for which in ("best", "last"):
        (tmp_path / "run" / which).mkdir(parents=True)
        (tmp_path / "run" / which / "model.safetensors").touch()
    cases = {
        "noise.pth": "not a torch file of tensors",
        "noise.safetensors": "not a sound safetensors file",
        "empty.pth": r"not a sound torch file \(EOFError\)\. It was cut off or damaged, or is something else: put a",
        "text.pth": r"not a sound torch file \(IndexError\)",
        "plain.pth": r"no tensors in it, nor under state_dict, .*\(found: epoch, lr\)",
        "list.pth": r"no tensors in it.*\(found: list\)",
        "code.pth": "refused, because it holds more than tensors.*argparse.Namespace.*run code",
        "folder.pth": r"this is a folder; give one of the files in it \(no weights\)",
        ".": r"this is a folder; give one of the files in it \(code.pth, empty.pth, ",
        "run": r"give one of the files in it \(last/model.safetensors, best/model.safetensors\)",
        "missing.pth": "there is no such file",
    }
    for name, message in cases.items():
        with pytest.raises(ValueError, match=message):
            load_weights(model, tmp_path / name)


def test_saving_is_atomic_and_says_what_it_is(tmp_path, monkeypatch) -> None:
    model, path = model_of(0, blocks="snl@layer2"), tmp_path / "new" / "model.safetensors"
    save_weights(model, path)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["specvid"]) == model.config
    before = sha256(path)

    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(model_of(1, blocks="snl@layer2"), path)
    assert sha256(path) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_published_weights_are_downloaded_by_name(tmp_path, monkeypatch) -> None:
    """The download itself is torch's: here it answers from a folder, and once not at all."""
    source = model_of(0, "resnet18", num_classes=1000)
    asked = []

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.append((url, options["weights_only"], options["check_hash"]))
        return published(source)

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    for name in ("DEFAULT", "imagenet"):
        model = create_model("resnet18", num_classes=1000, weights=name)
        assert_same(model, source)
    assert asked == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", True, True)] * 2

    def unreachable(url: str, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    with pytest.raises(ValueError, match=r"cannot be downloaded \(no route to host\); download it elsewhere"):
        create_model("resnet18", weights="imagenet")


@pytest.mark.data
def test_real_imagenet_weights() -> None:
    from shared_data import shared

    path = shared("weights/mobilenet_v2_imagenet.safetensors")
    model = create_model("mobilenet_v2", blocks="snl@features.13", num_classes=625, weights=path)
    assert len(model.loaded.matched) == len(read_weights(path)) == 312
    assert not model.loaded.unexpected
