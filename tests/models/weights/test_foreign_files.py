"""Files of other projects as they come: Caffe2's pickles, moving averages beside weights, TSM, quantised numbers."""

import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import source_networks
import torch
import torchvision
from caffe2_files import caffe2_names, write_blobs
from published_blocks import SlowFast, randomise
from synthetic_checkpoints import linear, mmaction_resnet, prefixed, resnet, torchvision_names
from torch import Tensor, nn

import specvid
from specvid.models.weights import load_weights
from specvid.tools.weights.convert import convert_weights

CLASSES = 6


def i3d_state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = torchvision_names(mmaction_resnet(50, dims=3, i3d=True)) | linear("fc", CLASSES, 2048)
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name}


def test_a_caffe2_file_of_python_2_computes_what_it_did(tmp_path: Path) -> None:
    state = i3d_state()
    source = write_blobs(tmp_path / "i3d_baseline_32x2.pkl", caffe2_names(state))
    with pytest.raises(ValueError, match=r"`python -m specvid.tools.weights.convert .*pkl.*\.safetensors` takes"):
        specvid.create_model("i3d_r50", num_classes=CLASSES, weights=str(source))
    convert_weights(source, tmp_path / "i3d.safetensors")
    with pytest.raises(ValueError, match=r"strides and pools in time of its own.*variant='video-nonlocal-net'"):
        specvid.create_model("i3d_r50", num_classes=CLASSES, weights=str(tmp_path / "i3d.safetensors"))
    options = {"variant": "video-nonlocal-net", "weights": str(tmp_path / "i3d.safetensors")}
    model = specvid.create_model("i3d_r50", num_classes=CLASSES, **options).eval().double()
    assert (model.loaded.missing, model.loaded.mismatched) == ({}, {})
    assert all(name.endswith("_momentum") or name == "lr" for name in model.loaded.unexpected)
    x = torch.randn(1, 3, 8, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        theirs = source_networks.i3d_r50({key: value.double() for key, value in state.items()}, x, "video-nonlocal-net")
        torch.testing.assert_close(model(x), theirs, rtol=1e-9, atol=1e-9)
    assert (model.input.mean[0], model.input.std[0]) == (0.45, 0.225)  # 114.75 and 57.375, as its config.py


def test_blocks_in_a_caffe2_file(tmp_path: Path) -> None:
    """nonlocal_conv3_1_theta_w: the block behind child 1 of res3."""
    blobs = caffe2_names(i3d_state())
    blocks: dict[str, SlowFast] = {}
    layers = {"conv_theta": "theta", "conv_phi": "phi", "conv_g": "g", "conv_out": "out", "bn": "bn"}
    ends = {"weight": "w", "bias": "b"}
    norm_ends = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    for stage, child, channels in ((3, 1, 512), (3, 3, 512), (4, 1, 1024), (4, 3, 1024), (4, 5, 1024)):
        block = randomise(SlowFast(channels), std=0.02, seed=child)
        blocks[f"layer{stage - 1}.{child}"] = block
        for name, tensor in block.state_dict().items():
            layer, end = name.rsplit(".", 1)
            if end != "num_batches_tracked":
                ending = (norm_ends if layer == "bn" else ends)[end]
                blobs[f"nonlocal_conv{stage}_{child}_{layers[layer]}_{ending}"] = tensor
    convert_weights(write_blobs(tmp_path / "nl.pkl", blobs), tmp_path / "nl.safetensors")
    options = {"variant": "video-nonlocal-net", "weights": str(tmp_path / "nl.safetensors"), "blocks": "i3d_nln"}
    model = specvid.create_model("i3d_r50", num_classes=CLASSES, **options).eval().double()
    assert (model.loaded.missing, model.loaded.mismatched) == ({}, {})
    bare = specvid.create_model("i3d_r50", num_classes=CLASSES, variant="video-nonlocal-net")
    bare.backbone.load_state_dict({k: v for k, v in i3d_state().items() if not k.startswith("fc")}, strict=False)
    bare.head.classifier.load_state_dict({k[3:]: v for k, v in i3d_state().items() if k.startswith("fc")})
    for path, block in blocks.items():
        stage, child = path.split(".")
        network = bare.backbone.get_submodule(stage)
        network[int(child)] = nn.Sequential(network[int(child)], block.float())
    x = torch.randn(1, 3, 8, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), bare.eval().double()(x), rtol=1e-9, atol=1e-9)


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_code_in_it_is_refused_with_a_way(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "blobs.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": torch.ones(2).numpy()}, "x": Trap(tmp_path / "run")}, protocol))
    with pytest.raises(ValueError, match=r"`python -m specvid\.tools.weights.convert .* takes the tensors out without"):
        specvid.create_model("i3d_r50", weights=str(path))
    convert_weights(path, tmp_path / "out.safetensors")
    assert not (tmp_path / "run").exists()


def test_moving_averages_are_named_and_can_be_taken(tmp_path: Path) -> None:
    raw, average = (torchvision.models.resnet18(num_classes=5).state_dict() for _ in range(2))
    torch.save({"state_dict": raw, "state_dict_ema": average, "epoch": 3}, tmp_path / "timm.pth")
    model = specvid.create_model("resnet18", num_classes=5, weights=str(tmp_path / "timm.pth"))
    assert torch.equal(model.backbone.conv1.weight, raw["conv1.weight"])
    (message,) = model.loaded.messages
    assert "'state_dict_ema' (122 tensors), which were not read" in message
    line = shlex.split(message.split("`")[1].replace("OUT", str(tmp_path / "ema")))
    done = subprocess.run([sys.executable, *line[1:]], capture_output=True, text=True, check=True)
    assert "122 tensors" in done.stdout
    model = specvid.create_model("resnet18", num_classes=5, weights=str(tmp_path / "ema.safetensors"))
    assert torch.equal(model.backbone.conv1.weight, average["conv1.weight"])
    assert model.loaded.messages == ()
    with pytest.raises(ValueError, match=r"key 'ema' is unknown\. .*Choose from: epoch, state_dict, state_dict_ema"):
        convert_weights(tmp_path / "timm.pth", tmp_path / "other.safetensors", "ema")
    torch.save({"model_ema": average}, tmp_path / "only.pth")  # and where there is nothing else, it is read
    model = specvid.create_model("resnet18", num_classes=5, weights=str(tmp_path / "only.pth"))
    assert torch.equal(model.backbone.conv1.weight, average["conv1.weight"])


def tsm_repository(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of TSM's own repository: the first convolution of each residual branch is wrapped."""
    names = {k: k.replace("conv1.weight", "conv1.net.weight") if "layer" in k else k for k in state}
    body = {f"module.base_model.{names[key]}": tensor for key, tensor in state.items()}
    return body | prefixed("module.", linear("new_fc", 5, 512))


@pytest.mark.parametrize("project", ["mmaction2", "TSM"])
def test_weights_with_a_shift_in_a_model_without_one(project: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    if project == "TSM":
        state = tsm_repository(resnet(18, dims=2))
    else:
        state = prefixed("backbone.", mmaction_resnet(18, tsm=True)) | linear("cls_head.fc_cls", 5, 512)
    torch.save({"state_dict": state}, tmp_path / "tsm.pth")
    plain = specvid.create_model("resnet18", num_classes=5, weights=str(tmp_path / "tsm.pth"))
    assert "create it with blocks='tsm@residual'" in str(plain.loaded)
    options = {"blocks": "tsm@residual", "weights": str(tmp_path / "tsm.pth")}
    shifted = specvid.create_model("resnet18", num_classes=5, **options)
    assert set(shifted.loaded.matched) == set(shifted.state_dict())
    assert (shifted.loaded.messages, shifted.loaded.unexpected) == ((), {})


def test_tsms_own_file_computes_what_mmaction2s_does(tmp_path: Path) -> None:
    """The same network under both names; mmaction2's own logits are those of ours in `parity`."""
    torch.manual_seed(0)
    body, head = mmaction_resnet(18, tsm=True), linear("cls_head.fc_cls", 5, 512)
    theirs = tsm_repository(torchvision_names(body))
    theirs |= {key.replace("cls_head.fc_cls", "module.new_fc"): tensor for key, tensor in head.items()}
    torch.save({"state_dict": theirs}, tmp_path / "tsm.pth")
    torch.save({"state_dict": prefixed("backbone.", body) | head}, tmp_path / "mmaction2.pth")
    clip, logits = torch.randn(2, 3, 8, 64, 64), []
    for file in ("tsm.pth", "mmaction2.pth"):
        options = {"blocks": "tsm@residual", "weights": str(tmp_path / file)}
        model = specvid.create_model("resnet18", num_classes=5, **options).eval()
        logits.append(model(clip).detach())
    assert torch.equal(*logits)


def test_quantised_numbers_are_no_weights(tmp_path: Path) -> None:
    state = torchvision.models.resnet18(num_classes=5).state_dict()
    torch.save({name: (100 * value).to(torch.int8) for name, value in state.items()}, tmp_path / "int8.pth")
    model = specvid.create_model("resnet18", num_classes=5)
    before = model.backbone.conv1.weight.clone()
    with pytest.raises(ValueError, match="int8 in the file: quantised"):
        load_weights(model, tmp_path / "int8.pth")
    assert torch.equal(model.backbone.conv1.weight, before)
