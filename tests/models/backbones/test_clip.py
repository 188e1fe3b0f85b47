"""open_clip's models as ours: vectors of frames and words, and zero-shot logits, are its own numbers."""

import contextlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_checkpoints import CLIPS, save_clip
from torch import Tensor, nn

from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.zero_shot import set_classes

open_clip = pytest.importorskip("open_clip", reason="pip install 'specvid[hf]'")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
PLACES = {"vit": "layers.1", "vit-quick": "layers.1", "resnet": "layer3.0", "siglip": "blocks.3"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """name -> folder and open_clip's model; each saved once."""
    made: dict[str, tuple[Path, nn.Module]] = {}

    def get(name: str) -> tuple[Path, nn.Module]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = (folder, save_clip(name, folder))
        return made[name]

    return get


def frames_of(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("name", CLIPS)
def test_numbers_are_those_of_open_clip(name: str, saved) -> None:
    folder, network = saved(name)
    model = create_model(f"clip:{folder}", blocks=f"snl@{PLACES[name]}").eval()
    x = torch.randn(2, 3, 2, *model.input.crop)
    words = ["surfing", "push-ups", "a long sentence about someone who opens a door and walks out into the rain again"]
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")([f"a video of {word}" for word in words])
    with torch.no_grad():
        wanted = network.encode_image(frames_of(x)).unflatten(0, (2, 2)).mean(1)
        torch.testing.assert_close(model.embed(x), wanted, **CLOSE)
        assert model.forward_features(x).shape[:3] == (2, model.feature_dim, 2)
        vectors = model.embed_text([f"a video of {word}" for word in words])
        torch.testing.assert_close(vectors, network.encode_text(tokens), **CLOSE)
        set_classes(model, words)
        still = x[:, :, :1]  # of one frame, a clip is an image
        torch.testing.assert_close(model(still), network.get_logits(still[:, :, 0], tokens)[0], **CLOSE)
        torch.testing.assert_close(model.for_inference()(x), model(x), rtol=1e-4, atol=1e-4)
    assert model.classes == tuple(words)


@pytest.mark.parametrize("name", CLIPS)
def test_the_config_builds_the_image_tower_again_without_the_folder(name: str, saved) -> None:
    folder, _ = saved(name)
    model = create_model(f"clip:{folder}", num_classes=3, blocks=f"snl@{PLACES[name]}").eval()
    assert model.config["name"] == "clip:images"
    again = create_model(**json.loads(json.dumps(model.config))).eval()
    assert again.input == model.input and again.own is None
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 2, *model.input.crop)
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    with pytest.raises(ValueError, match="'clip:images' has no text tower, so it knows no words"):
        again.embed_text(["surfing"])


def test_images_are_prepared_as_open_clip_does(saved) -> None:
    folder, _ = saved("vit")
    model = create_model(f"clip:{folder}")
    prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")[2]
    frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    from PIL import Image

    wanted = torch.stack([prepare(Image.fromarray(frame.numpy())) for frame in frames], dim=1)
    torch.testing.assert_close(model.preprocess(frames)[0], wanted, **CLOSE)


def test_tokens_go_to_their_places(saved) -> None:
    model = create_model(f"clip:{saved('vit')[0]}", blocks="tsm(fold_div=2)@layers.1").eval()
    (inserted,) = (module for module in model.modules() if isinstance(module, InsertedBlock))
    seen: list[tuple[Tensor, Tensor]] = []
    inserted.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    with torch.no_grad():
        model.embed(torch.randn(1, 3, 3, 32, 32))
    ((before, after),) = seen
    wanted = torch.zeros(3, 5, 16)
    wanted[:, 0] = before[:, 0]
    wanted[:2, 1:, :8] = before[1:, 1:, :8]
    wanted[1:, 1:, 8:] = before[:2, 1:, 8:]
    assert torch.equal(after, wanted)


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return (__import__("os").mkdir, ("sprung",))


def test_pickled_weights_are_numbers_or_refused(saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, network = saved("vit")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    file = tmp_path / "own/open_clip_pytorch_model.bin"
    torch.save(network.state_dict(), file)
    x = torch.randn(1, 3, 1, 32, 32)
    with torch.no_grad():
        wanted = network.encode_image(x[:, :, 0])
        torch.testing.assert_close(create_model("clip:own").eval().embed(x), wanted, **CLOSE)
    with open(file, "wb") as opened:
        pickle.dump({"logit_scale": Trap()}, opened)
    with pytest.raises(ValueError, match=r"open_clip cannot load open_clip_pytorch_model\.bin"):
        create_model("clip:own")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_cfg": {"hf_model_name": "owner/name"}}, "its text tower is another model, 'owner/name'"),
        ({"vision_cfg": {"timm_model_name": "hf-hub:owner/name"}}, "'hf-hub:owner/name' is no name of timm's"),
        ({"vision_cfg": {"width": 32}}, "open_clip cannot load open_clip_model.safetensors"),
        ({"vision_cfg": {"widht": 32}}, "open_clip refuses its config"),
        ({"multimodal_cfg": {}}, "is no pair of an image and a text tower"),
    ],
)
def test_configs_that_do_not_do(change: dict[str, Any], message: str, saved, tmp_path: Path) -> None:
    folder, _ = saved("vit")
    content = json.loads((folder / "open_clip_config.json").read_text())
    for part, entries in change.items():
        content["model_cfg"].setdefault(part, {}).update(entries)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    (tmp_path / "open_clip_model.safetensors").write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=message):
        create_model(f"clip:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ViT-B-23", {}, "as an architecture 'ViT-B-23' is unknown. Did you mean 'ViT-B-32'"),
        ("ViT-B-32/opnai", {}, "published weights 'opnai' is unknown. Did you mean 'openai'"),
        ("ViT-B-32", {"size": 3}, "option of backbone 'clip:ViT-B-32': 'size' is unknown"),
        ("images", {"embed_dim": 3}, "needs embed_dim=... and vision=..."),
    ],
)
def test_names_that_lead_nowhere(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(f"clip:{name}", **options)


def test_zero_shot_mistakes(saved) -> None:
    model = create_model(f"clip:{saved('vit')[0]}")
    for classes, prompt, message in [
        ([" "], "a video of {}", "give at least one name"),
        (["a", "a"], "a video of {}", "each once"),
        (["a"], "a video", "has no {} for the name"),
    ]:
        with pytest.raises(ValueError, match=message):
            set_classes(model, classes, prompt=prompt)
    with pytest.raises(ValueError, match="has a projection or neck"):
        create_model(f"clip:{saved('vit')[0]}", embedding_dim=12).embed_text(["surfing"])
    with pytest.raises(ValueError, match="'r3d_tiny' has no text tower"):
        set_classes(create_model("r3d_tiny"), ["surfing"])


def test_the_tokenizer_of_a_folder_is_its_own_and_runs_no_code(saved, tmp_path: Path) -> None:
    """SigLIP's models bring tokenizer files of transformers along."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder, network = saved("vit")
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    words = {word: number for number, word in enumerate(["<pad>", "<unk>", "a", "video", "of", "surfing"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(tmp_path)
    content = json.loads((tmp_path / "open_clip_config.json").read_text())
    content["model_cfg"]["text_cfg"] |= {
        "hf_tokenizer_name": "owner/name",
        "tokenizer_kwargs": {"trust_remote_code": True},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    vector = create_model(f"clip:{tmp_path}").embed_text(["a video of surfing"])
    tokens = torch.tensor([[2, 3, 4, 5, *[0] * 12]])
    with torch.no_grad():
        torch.testing.assert_close(vector, network.encode_text(tokens), **CLOSE)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'sprung')!r})\n")
    with contextlib.suppress(ValueError):  # read as what transformers knows, or refused
        create_model(f"clip:{tmp_path}").embed_text(["a video of surfing"])
    assert not (tmp_path / "sprung").exists()
