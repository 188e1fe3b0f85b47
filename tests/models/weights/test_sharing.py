"""Shared folders: what is written loads again as the same model, and nothing else does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_hub import FakeHub

import specvid
from specvid.models import VideoModel, create_model
from specvid.models.pretrained import is_shared
from specvid.models.weights import save_weights

NAMES = ("Archery", "Bowling", "Übung")


def made(**options: object) -> VideoModel:
    torch.manual_seed(0)
    wanted = {"blocks": "snl(reduction=4)@layer2.-1", "num_classes": 3, "input": {"frames": 4, "size": (32, 24)}}
    model = create_model("r3d_tiny", **{**wanted, **options}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # the blocks too, which begin as identities
    return model


def assert_same(model: VideoModel, other: VideoModel) -> None:
    assert (model.config, model.input, model.classes) == (other.config, other.input, other.classes)
    assert model.sampling == other.sampling
    theirs = other.state_dict()
    assert set(theirs) == set(model.state_dict())
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_a_folder_gives_the_same_model(tmp_path: Path) -> None:
    model = made(embedding_dim=8, neck="bnneck")
    model.classes, model.sampling = NAMES, "segments"
    model.save_pretrained(tmp_path / "mine", license="cc-by-4.0")
    other = specvid.load(tmp_path / "mine")
    assert_same(model, other)
    assert not other.training
    clip = torch.randn(2, 3, 4, 32, 24)
    assert torch.equal(model(clip), other(clip))
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        *("README.md", "config.json", "model.safetensors")
    ]
    assert len({path.stat().st_mode for path in (tmp_path / "mine").iterdir()}) == 1  # who reads one reads all
    card = (tmp_path / "mine" / "README.md").read_text()
    for line in ('license: "cc-by-4.0"', "# mine", "`r3d_tiny`", "`snl(reduction=4)@layer2.-1`", "Licence: cc-by-4.0"):
        assert line in card
    assert "Archery, Bowling, Übung" in card


def test_a_card_runs_nothing_that_a_class_is_called(tmp_path: Path) -> None:
    model = create_model("r3d_tiny", num_classes=2)
    model.save_pretrained(tmp_path, classes=["<img src=x onerror=alert(1)>", "[x](javascript:alert(1))"])
    card = (tmp_path / "README.md").read_text()
    assert "\\<img src=x" in card and "\\[x\\](" in card


def test_a_card_without_licence_says_so_and_an_edited_card_stays(tmp_path: Path) -> None:
    made().save_pretrained(tmp_path, classes=NAMES)
    card = (tmp_path / "README.md").read_text()
    assert "license:" not in card and "Licence: not stated" in card
    (tmp_path / "README.md").write_text("my own words")
    made().save_pretrained(tmp_path, classes=NAMES)
    assert (tmp_path / "README.md").read_text() == "my own words"
    assert specvid.load(tmp_path).classes == NAMES


def test_the_checkpoint_of_a_run_loads_too(tmp_path: Path) -> None:
    """The layout of `specvid.pipelines.engine.run`, with a buffer that the training added."""
    model = made()
    folder = tmp_path / "runs" / "a" / "last"
    save_weights(model, folder / "model.safetensors")
    meta = {"task": "action", "model": model.config, "classes": NAMES, "data": {"sampling": "segments"}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "runs" / "a" / "config.json").write_text("{}")  # a run's own, which describes no model
    (tmp_path / "runs" / "a" / "model.txt").touch()
    model.classes, model.sampling = NAMES, "segments"
    for source in (folder, folder.parent):
        assert_same(model, specvid.load(source))
    model.register_buffer("centres", torch.ones(3, 2))
    save_weights(model, folder / "model.safetensors")
    with pytest.raises(ValueError, match="centres: no such part in the model"):
        specvid.load(folder)
    (folder / "meta.json").write_text(json.dumps({**meta, "buffers": {"centres": [3, 2]}}))
    assert "centres" not in specvid.load(folder).state_dict()


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    model = made()
    with pytest.raises(ValueError, match="2 names, but the model has 3 logits"):
        model.save_pretrained(tmp_path, classes=NAMES[:2])
    assert not list(tmp_path.iterdir())
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    assert specvid.load(tmp_path).classes is None

    def change(**changes: object) -> None:
        path.write_text(json.dumps({**config, "model": {**config["model"], **changes}}))

    for changes, message in (
        ({"blocks": "snl(reduction=4)@layer1.-1"}, "do not fit 'r3d_tiny': .*unexpected .*snl_before_1"),
        ({"num_classes": 4}, r"differ: head.classifier.*\(3, .* in the file, \(4, "),
        ({"embedding_dim": 8}, "differ: head.projection.weight and 1 more: not in the file"),
        ({"name": "r3d_tin"}, "Did you mean 'r3d_tiny'"),
        ({"size": 3}, "create_model: 'size' is unknown"),
        ({"name": "resnet18(last_stride=10000000000)"}, "10000000000 is more than its weights can hold"),
        ({"weights": "DEFAULT"}, "take 'weights' out of it"),
        ({"dropout": "much"}, "describes no model of specvid"),
        ({"pooling": 3}, "pooling 3 is unknown. Choose from: attention, max, mean"),
    ):
        change(**changes)
        with pytest.raises(ValueError, match=message):
            specvid.load(tmp_path)
    cases = (("{", "is not JSON"), ("[]", "must hold one JSON object"), ('{"model": {}}', "no 'model' with"))
    for text, message in cases:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            specvid.load(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"no folder of a model: it has no model.safetensors with a config.json"):
        specvid.load(tmp_path)
    with pytest.raises(ValueError, match="there is no such folder; give one, or owner/name"):
        specvid.load("nowhere")


def test_options_that_name_functions_are_not_built_unasked(tmp_path: Path) -> None:
    """mmaction2 builds whatever Python object ``type`` names: a trap in a config must not be sprung."""
    made().save_pretrained(tmp_path / "it")
    path, trap = tmp_path / "it" / "config.json", tmp_path / "ran"
    config = json.loads(path.read_text())
    evil = {"name": "mmaction:ResNet3d", "blocks": "", "depth": 18, "act_cfg": {"type": "os.mkdir", "path": str(trap)}}
    path.write_text(json.dumps({**config, "model": evil}))
    with pytest.raises(ValueError, match=r"another library with act_cfg.type .*trusted=True"):
        specvid.load(tmp_path / "it")
    assert not trap.exists()


def test_an_inflated_backbone_is_ours(tmp_path: Path) -> None:
    model = create_model("inflated:resnet18", input={"frames": 2, "size": 32})
    model.save_pretrained(tmp_path)
    assert_same(model, specvid.load(tmp_path))


def test_names_of_the_hub_and_names_of_backbones(tmp_path: Path) -> None:
    assert is_shared(str(tmp_path)) and is_shared("owner/name")
    for name in ("r3d_18", "timm:hf/resnet18", "a/b/c", "./missing", "mmaction:configs/tsn.py"):
        assert not is_shared(name)


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"owner/name.*pip install 'specvid\[hub\]'"):
        specvid.load("owner/name")
    with pytest.raises(ValueError, match=r"pip install 'specvid\[hub\]'"):
        made().push_to_hub("owner/name")


ROUND_TRIP = """
import sys, torch
import specvid
model = specvid.load(sys.argv[1])
print(model.push_to_hub("owner/name", token="hf_x", private=True, license="mit"))
other = specvid.load("owner/name", token="hf_x", cache_dir=sys.argv[2])
assert other.classes == model.classes and other.config == model.config
assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))
try:
    specvid.load("owner/other", token="hf_x", cache_dir=sys.argv[2])
except ValueError as error:
    print(error)
"""


def test_up_to_the_hub_and_down_again(tmp_path: Path) -> None:
    """huggingface_hub's own client, against a server on this machine that keeps files in memory."""
    pytest.importorskip("huggingface_hub")
    made().save_pretrained(tmp_path / "it", classes=NAMES)
    with FakeHub() as hub:
        command = [sys.executable, "-c", ROUND_TRIP, str(tmp_path / "it"), str(tmp_path / "cache")]
        ran = subprocess.run(command, env=hub.environment(tmp_path), capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    address, refusal = ran.stdout.splitlines()
    assert address.endswith("owner/name/commit/" + hub.COMMIT)
    assert refusal.startswith("model 'owner/other': there is no such folder, and the Hugging Face Hub does not give it")
    assert set(hub.files) == {"README.md", "config.json", "model.safetensors"}
    assert b"# owner/name\n" in hub.files["README.md"] and hub.created == {"name": "name", "organization": "owner"}
