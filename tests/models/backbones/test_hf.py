"""transformers' encoders as ours: its numbers, its preprocessing, blocks between its layers, nothing run or fetched."""

import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_checkpoints import CLASSES, NETWORKS, randomise, save_hf
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel
from specvid.pipelines.export.job import export_model

transformers = pytest.importorskip("transformers", reason="pip install 'specvid[hf]'")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local folder needs none: whoever opens a connection fails."""

    def refuse(*args: object) -> None:
        raise AssertionError(f"a connection to {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, nn.Module, Any]]:
    """name -> folder, transformers' network, its processor; each saved once."""
    made: dict[str, tuple[Path, nn.Module, Any]] = {}

    def get(name: str) -> tuple[Path, nn.Module, Any]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = (folder, *save_hf(name, folder))
        return made[name]

    return get


def clip_of(model: VideoModel, seed: int = 0) -> Tensor:
    frames = model.input.frames if model.dims == 3 else 2
    return torch.randn((2, 3, frames, *model.input.crop), generator=torch.Generator().manual_seed(seed))


def theirs(network: Any, x: Tensor, dims: int) -> Any:
    """What transformers gives for clips, frames of an image network side by side."""
    if "ForPreTraining" in type(network).__name__:
        return network.videomae(x.transpose(1, 2))
    return network(x.transpose(1, 2) if dims == 3 else x.transpose(1, 2).flatten(0, 1))


def tokens_of(network: Any, x: Tensor, dims: int) -> Tensor:
    """transformers' last hidden state."""
    bare = getattr(network, network.base_model_prefix) if hasattr(network, "classifier") else network
    return theirs(bare, x, dims).last_hidden_state


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_are_those_of_transformers(name: str, saved) -> None:
    folder, network, _ = saved(name)
    has_classes = hasattr(network, "classifier")
    model = create_model(f"hf:{folder}", num_classes=len(CLASSES) if has_classes else None).eval()
    x = clip_of(model)
    with torch.no_grad():
        found, tokens = theirs(network, x, model.dims), tokens_of(network, x, model.dims)
        if has_classes:
            wanted = found.logits if model.dims == 3 else found.logits.unflatten(0, (2, -1)).mean(1)
            torch.testing.assert_close(model(x), wanted, **CLOSE)
            assert wanted.std() > 0.01
            assert model.classes == tuple(CLASSES.values())
        elif model.dims == 2:
            torch.testing.assert_close(model.embed(x), found.pooler_output.unflatten(0, (2, -1)).mean(1), **CLOSE)
        else:
            torch.testing.assert_close(model.embed(x), found.last_hidden_state.mean(1), **CLOSE)
        features = model.forward_features(x)
    assert features.shape[:2] == (2, 24)
    if name == "timesformer":  # time runs fastest
        grid = tokens[:, 1:].unflatten(1, (2, 2, 4)).permute(0, 4, 3, 1, 2)
        torch.testing.assert_close(features, grid, **CLOSE)
    else:
        prefix = tokens.shape[1] - features[0, 0].numel() // (1 if model.dims == 3 else 2)
        flat = features if model.dims == 3 else features.transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(flat.flatten(2).transpose(1, 2), tokens[:, prefix:], **CLOSE)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "-" not in name])
def test_the_config_builds_it_again_without_the_folder(name: str, saved) -> None:
    folder, _, _ = saved(name)
    model = create_model(f"hf:{folder}", num_classes=5, blocks="snl@layers.1").eval()
    assert model.config["name"] == f"hf:{name}"
    again = create_model(**json.loads(json.dumps(model.config))).eval()
    assert again.own is None and again.input == model.input
    again.load_state_dict(model.state_dict())
    x = clip_of(model)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network[3]])
def test_clips_are_prepared_as_its_processor_does(name: str, saved) -> None:
    """Frames that need no resizing, of which centres are cut out: the pictures are the same to rounding."""
    folder, _, processor = saved(name)
    model = create_model(f"hf:{folder}")
    resize = model.input.resize
    side = resize if isinstance(resize, int) else resize[0]
    frames = np.random.default_rng(0).integers(0, 256, (model.input.frames, side, side, 3), dtype=np.uint8)
    pictures = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
    given = processor([torch.stack(pictures)] if "Video" in type(processor).__name__ else pictures, return_tensors="pt")
    wanted = next(iter(given.values()))
    wanted = wanted[0].transpose(0, 1) if wanted.ndim == 5 else wanted.transpose(0, 1)
    torch.testing.assert_close(model.preprocess(frames)[0], wanted.float(), rtol=1e-5, atol=1e-5)


def test_another_number_of_frames_and_size(saved) -> None:
    folder, _, _ = saved("videomae")
    model = create_model(f"hf:{folder}", num_frames=8, image_size=48).eval()  # its positions are computed
    assert (model.input.frames, model.input.size, model.input.resize) == (8, 48, 48)
    assert model.forward_features(clip_of(model)).shape == (2, 24, 4, 3, 3)
    model = create_model(f"hf:{saved('dinov2-bare')[0]}(size=56)")
    assert (model.input.size, model.input.resize) == (56, 64)


def test_tokens_go_to_their_places(saved) -> None:
    """A shift of time between the layers of a DINOv3: patch tokens move, class and register tokens stay."""
    model = create_model(f"hf:{saved('dinov3_vit')[0]}", blocks="tsm(fold_div=2)@layers.1").eval()
    (inserted,) = (module for module in model.modules() if isinstance(module, InsertedBlock))
    seen: list[tuple[Tensor, Tensor]] = []
    inserted.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    with torch.no_grad():
        model.embed(torch.randn(1, 3, 3, 32, 32))
    ((before, after),) = seen  # (frames, class token, 2 registers and 2 x 2 patches, channels)
    wanted = torch.zeros(3, 7, 24)
    wanted[:, :3] = before[:, :3]
    wanted[:2, 3:, :12] = before[1:, 3:, :12]
    wanted[1:, 3:, 12:] = before[:2, 3:, 12:]
    assert torch.equal(after, wanted)


@pytest.mark.parametrize("name", ["videomae", "vjepa2", "timesformer", "vivit", "dinov2", "dinov3_vit"])
def test_blocks_between_layers_start_as_identities_and_learn(name: str, saved) -> None:
    folder, _, _ = saved(name)
    model = create_model(f"hf:{folder}", num_classes=3, blocks="snl@layers.1")
    bare = create_model(f"hf:{folder}", num_classes=3)
    bare.load_state_dict(model.state_dict(), strict=False)
    x = clip_of(model)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), bare.eval()(x))
    (gate,) = (parameter for key, parameter in model.named_parameters() if key.endswith("gate"))
    F.cross_entropy(model.train()(x), torch.tensor([0, 1])).backward()
    assert gate.grad is not None and gate.grad.abs().sum() > 0
    with torch.no_grad():
        gate.fill_(1.0)
        assert (model.eval()(x) - bare.eval()(x)).abs().max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["videomae", "vjepa2", "timesformer", "vivit", "dinov2", "dinov3_vit"])
def test_onnx_gives_the_same_numbers(name: str, saved, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'specvid[export]'")
    model = create_model(f"hf:{saved(name)[0]}", num_classes=3, blocks="snl@layers.1").eval()
    for key, parameter in model.named_parameters():
        if key.endswith("gate"):
            nn.init.constant_(parameter, 1.0)
    frames = model.input.frames if model.dims == 3 else 2
    side = model.input.crop[0]
    export_model(model, tmp_path / "model.onnx", to="onnx", frames=frames, height=side, width=side)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    x = clip_of(model, seed=3)[:, :, :frames]
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-4)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return (__import__("os").mkdir, ("sprung",))


def test_pickled_weights_are_numbers_or_refused(saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, network, _ = saved("videomae")
    own = copy_of(folder, tmp_path / "own")
    (own / "model.safetensors").unlink()
    torch.save(network.state_dict(), own / "pytorch_model.bin")
    model = create_model(f"hf:{own}", num_classes=3).eval()
    x = clip_of(model)
    with torch.no_grad():
        torch.testing.assert_close(model(x), network(x.transpose(1, 2)).logits, **CLOSE)
    with open(own / "pytorch_model.bin", "wb") as file:
        pickle.dump({"classifier.weight": Trap()}, file)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin"):
        create_model(f"hf:{own}")
    assert not (tmp_path / "sprung").exists()


def test_code_in_a_folder_is_never_run(saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = copy_of(saved("videomae")[0], tmp_path / "own")
    (own / "evil.py").write_text("import os\nos.mkdir('sprung')\n")
    references = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    edit(own, model_type="evil", auto_map=references)
    with pytest.raises(ValueError, match="which is code that comes with it, and specvid runs no such code") as told:
        create_model(f"hf:{own}")
    assert "\n" not in str(told.value)
    edit(own, model_type="videomae", attn_implementation="owner/kernel", _attn_implementation="owner/kernel")
    edit(own, quantization_config={"quant_method": "evil"})
    (own / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/name", "peft_type": "LORA"}')
    assert create_model(f"hf:{own}", num_classes=3).own is not None  # what transformers' own classes do not know
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"model_type": "bert"}}, r"type 'bert', which is not supported. Supported are: videomae, vjepa2"),
        (
            {"options": {"num_frame": 8}},
            r"option of backbone 'hf:.*: 'num_frame' is unknown. Did you mean 'num_frames'",
        ),
        ({"options": {"hidden_size": 32}}, r"\d+ tensors have another shape than its config says"),
        ({"options": {"as_classifier": True}}, "as_classifier is an option of an architecture"),
        ({"options": {"size": 64}}, "size is not an option of this network: give image_size"),
        ({"config": {"num_hidden_layers": 3}}, r"tensors are not in its weights, videomae\.encoder\.layer\.2"),
        ({"remove": "config.json"}, "there is no config.json in it"),
        ({"remove": "model.safetensors"}, "it has no weights"),
        ({"damage": "model.safetensors"}, "safetensors"),
        ({"options": {"blocks": "snl@embeddings"}}, "features are maps only between the layers: choose 'layers.N'"),
        ({"options": {"input": {"frames": 8}}}, "built for 4 and takes nothing else; build it with num_frames="),
    ],
)
def test_mistakes(change: dict[str, Any], message: str, saved, tmp_path: Path) -> None:
    own = copy_of(saved("videomae")[0], tmp_path / "own")
    edit(own, **change.get("config", {}))
    if "remove" in change:
        (own / change["remove"]).unlink()
    if "damage" in change:
        (own / change["damage"]).write_bytes(b"\x10" * 100)
    with pytest.raises(ValueError, match=message):
        create_model(f"hf:{own}", **change.get("options", {}))


def test_names_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vivit").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"is an architecture and a folder here: write 'hf:\./vivit'"):
        create_model("hf:vivit")
    with pytest.raises(ValueError, match="there is no such folder; give one, or owner/name"):
        create_model(f"hf:{tmp_path}/nothing")
    with pytest.raises(ValueError, match="reads the class token alone; put it before the layer"):
        create_model("hf:vivit(hidden_size=24, num_hidden_layers=2, num_attention_heads=2)", blocks="snl@layers.end")


def test_a_name_on_the_hub_is_fetched_into_its_cache(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    folder, _, _ = saved("videomae")
    asked: list[tuple[str, list[str]]] = []

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        if name == "owner/absent":
            raise OSError("offline mode is enabled\nand more")
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    assert create_model("hf:owner/name", num_classes=3).classes == tuple(CLASSES.values())
    ((name, patterns),) = asked
    assert name == "owner/name" and not any(pattern.endswith((".py", ".bin")) for pattern in patterns)
    with pytest.raises(ValueError, match=r"and the Hub does not give it \(offline mode is enabled\)"):
        create_model("hf:owner/absent")


class _Version2(nn.Module):
    """VideoMAE v2 as its paper and its checkpoints have it, written slowly: layers by name, attention head by head."""

    def __init__(self, width: int, depth: int, heads: int, patches: int, classes: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv3d(3, width, (2, 16, 16), (2, 16, 16))
        self.blocks = nn.ModuleList(self._block() for _ in range(depth))
        self.fc_norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)
        position, channel = np.arange(patches)[:, None], np.arange(width)[None]
        angle = position / 10000 ** (2 * (channel // 2) / width)
        self.positions = torch.tensor(np.where(channel % 2 == 0, np.sin(angle), np.cos(angle))).float()

    def _block(self) -> nn.Module:
        block, width = nn.Module(), self.width
        block.norm1, block.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        block.attn = nn.Module()
        block.attn.qkv, block.attn.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        block.attn.q_bias, block.attn.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        block.mlp = nn.Module()
        block.mlp.fc1, block.mlp.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        return block

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            y = block.norm1(x)
            bias = torch.cat([block.attn.q_bias, torch.zeros(self.width), block.attn.v_bias])
            query, key, value = (y @ block.attn.qkv.weight.T + bias).chunk(3, dim=-1)
            size, parts = self.width // self.heads, []
            for head in range(self.heads):
                own = slice(head * size, (head + 1) * size)
                weight = (query[..., own] @ key[..., own].transpose(1, 2) / size**0.5).softmax(-1)
                parts.append(weight @ value[..., own])
            x = x + block.attn.proj(torch.cat(parts, dim=-1))
            x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        return self.head(self.fc_norm(x.mean(1)))


def test_version_2_of_videomae_without_its_code(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = _Version2(24, 2, 2, 8, 3).eval()
    randomise(network)
    save_file(
        {f"model.{name}": one.clone() for name, one in network.state_dict().items()}, tmp_path / "model.safetensors"
    )
    sizes = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_ratio": 2, "num_frames": 4}
    content = {
        "architectures": ["VideoMAEv2"],
        "model_type": "VideoMAEv2_Base",
        "auto_map": {"AutoModel": "modeling_videomaev2.VideoMAEv2"},
        "model_config": {**sizes, "patch_size": 16, "init_values": 0.0, "cos_attn": False, "use_mean_pooling": True},
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    model = create_model(f"hf:{tmp_path}", num_classes=3).eval()
    x = clip_of(model)
    with torch.no_grad():
        torch.testing.assert_close(model(x), network(x), **CLOSE)
    again = create_model(**model.config).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    content["model_config"]["cos_attn"] = True
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="VideoMAE v2 with cos_attn=True is not supported"):
        create_model(f"hf:{tmp_path}")
