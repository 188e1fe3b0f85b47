"""`create_model`: the matrix of backbones, blocks and places; identity at the start; masks; mistakes."""

import copy
import json
import pickle

import pytest
import torch

import specvid
from specvid.models import create_model
from specvid.models.factory import VideoModel
from specvid.models.insertion import InsertedBlock
from specvid.models.weights import load_weights, save_weights

# backbone: (before, inside, end of a stage), frames, size of the clips
STAGE = ("layer3.0", "layer3.-1", "layer3.end")
FEATURES = ("features.5.0", "features.5.-1", "features.5.end")
BACKBONES = {
    "r3d_tiny": (("layer2.0", "layer2.-1", "layer2.end"), 4, 32),
    "r3d_18": (STAGE, 4, 32),
    "mc3_18": (STAGE, 4, 32),
    "r2plus1d_18": (STAGE, 4, 32),
    "resnet3d_18": (STAGE, 4, 32),
    "s3d": (("features.8", "Mixed_4f", "features.end"), 16, 32),
    "i3d_r50": (STAGE, 4, 32),
    "i3d_inception": (("Mixed_4b", "Mixed_4f", "Mixed_4f.end"), 16, 32),
    "resnet18": (STAGE, 4, 32),
    "resnet50": (STAGE, 4, 32),
    "mobilenet_v2": (("features.11", "features.13", "features.13.end"), 4, 32),
    "mobilenet_v3_small": (("features.8", "features.10", "features.10.end"), 4, 32),
    "efficientnet_b0": (FEATURES, 4, 32),
    "efficientnet_v2_s": (FEATURES, 4, 32),
    "convnext_tiny": (FEATURES, 4, 32),
    "densenet121": (("features.denseblock3", "features.transition3", "features.transition3.end"), 4, 32),
    "regnet_y_400mf": (("trunk_output.block3", "res4.-1", "res4.end"), 4, 32),
    "swin_t": (FEATURES, 4, 64),
    "swin3d_t": (("features.4.0", "features.4.-1", "features.4.end"), 4, 64),
    "mvit_v1_b": (("blocks.8", "blocks.8.attn", "blocks.13.end"), 4, 32),
    "mvit_v2_s": (("blocks.8", "blocks.8.attn", "blocks.13.end"), 4, 32),
}
OPTIONS = {name: {"frames": 4, "size": 32} for name in ("mvit_v1_b", "mvit_v2_s")}
# the larger ones of a family: one case each
LARGER = {
    "resnet3d_18": ("resnet3d_34", "resnet3d_50", "resnet3d_101"),
    "i3d_r50": ("i3d_r18", "i3d_r34", "i3d_r101", "i3d_r152"),
    "resnet18": ("resnet34",),
    "resnet50": ("resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2"),
    "mobilenet_v3_small": ("mobilenet_v3_large",),
    "efficientnet_b0": ("efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"),
    "efficientnet_v2_s": ("efficientnet_v2_m",),
    "convnext_tiny": ("convnext_small", "convnext_base"),
    "densenet121": ("densenet169", "densenet201"),
    "regnet_y_400mf": ("regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf"),
    "swin_t": ("swin_s", "swin_b"),
    "swin3d_t": ("swin3d_s", "swin3d_b"),
}
SIZES = {name: smallest for smallest, larger in LARGER.items() for name in (smallest, *larger)}
QUICK = ("r3d_tiny",)
CASES = [
    pytest.param(name, block, place, marks=[] if name in QUICK or (block, i) == ("snl", 1) else pytest.mark.slow)
    for name, (places, _, _) in BACKBONES.items()
    for block in ("snl", "nl")
    for i, place in enumerate(places)
] + [
    pytest.param(name, "snl", BACKBONES[smallest][0][1], marks=pytest.mark.slow)
    for smallest, larger in LARGER.items()
    for name in larger
]


def clip_for(name: str, batch: int = 2) -> torch.Tensor:
    _, frames, size = BACKBONES[SIZES.get(name, name)]
    return torch.randn(batch, 3, frames, size, size, generator=torch.Generator().manual_seed(1))


def seeded(name: str, blocks: str = "", **options: object) -> VideoModel:
    torch.manual_seed(0)
    return create_model(name, blocks=blocks, num_classes=5, **OPTIONS.get(name, {}), **options)


def run(model: VideoModel, x: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(2)  # for dropout and stochastic depth
    return model(x)


def open_gates(model: VideoModel) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("gate"):
            torch.nn.init.constant_(parameter, 0.5)


def test_the_matrix_has_every_backbone() -> None:
    assert {*BACKBONES, *SIZES} == set(specvid.list_backbones())


@pytest.mark.parametrize(("name", "block", "place"), CASES)
def test_matrix(name: str, block: str, place: str, tmp_path) -> None:
    x = clip_for(name)
    bare, model = seeded(name), seeded(name, f"{block}@{place}")
    for training in (True, False):  # identity at the start; train mode also updates the statistics of batch norm
        bare.train(training), model.train(training)
        assert torch.equal(run(bare, x), run(model, x))
    block_names = [n for n in model.state_dict() if f".{block}_" in n]
    assert set(model.state_dict()) - set(bare.state_dict()) == set(block_names)

    model.train()
    open_gates(model)
    torch.nn.functional.cross_entropy(run(model, x), torch.tensor([0, 1])).backward()
    (inserted,) = (module for module in model.modules() if isinstance(module, InsertedBlock))
    for part in (inserted, model.backbone, model.head):
        assert all(parameter.grad is not None for parameter in part.parameters())
        assert any(parameter.grad.any() for parameter in part.parameters())

    model.eval()
    expected = run(model, x)
    assert not torch.equal(expected, run(bare, x))
    save_weights(model, tmp_path / "model.safetensors")
    rebuilt = create_model(**json.loads(json.dumps(model.config)), weights=tmp_path / "model.safetensors").eval()
    assert not (rebuilt.loaded.missing)
    assert not (rebuilt.loaded.unexpected)
    assert not (rebuilt.loaded.mismatched)
    for twin in (rebuilt, copy.deepcopy(model)):
        assert torch.equal(run(twin, x), expected)
    assert model.embed(x).shape == (2, model.embedding_dim)


@pytest.mark.parametrize("block", [b for b in specvid.list_blocks() if b != "spectral"])  # which takes a function
@pytest.mark.parametrize("name", ["r3d_tiny", "resnet18"])
def test_every_block_goes_in(name: str, block: str) -> None:
    x, place = clip_for(name), BACKBONES[name][0][1]
    bare, model = seeded(name), seeded(name, f"{block}@{place}")
    for training in (True, False):
        bare.train(training), model.train(training)
        assert torch.equal(run(bare, x), run(model, x))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    open_gates(model)
    with torch.no_grad():
        assert model.embed(x, mask).isfinite().all()


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in BACKBONES])
def test_bare_weights_load_after_insertion(name: str, tmp_path) -> None:
    x, (places, _, _) = clip_for(name), BACKBONES[name]
    bare = seeded(name).eval()
    expected = run(bare, x)
    save_weights(bare, tmp_path / "bare.safetensors")
    torch.manual_seed(9)
    blocks = ", ".join(f"snl@{place}, nl@{place}" for place in places)
    model = create_model(name, num_classes=5, blocks=blocks, **OPTIONS.get(name, {})).eval()
    assert not torch.equal(run(model, x), expected)
    report = load_weights(model, tmp_path / "bare.safetensors")
    assert torch.equal(run(model, x), expected)
    assert set(report.missing.values()) == {"an inserted block, which stays as it is"}
    assert len(report.matched) == len(bare.state_dict())


def test_blocks_do_not_change_what_is_random_elsewhere() -> None:
    seeded("r3d_tiny", dropout=0.5, pooling="attention", embedding_dim=3)
    after_bare = torch.rand(3)
    model = seeded("r3d_tiny", "snl@layer2:2, nl@layer1", dropout=0.5, pooling="attention", embedding_dim=3)
    assert torch.equal(torch.rand(3), after_bare)
    twin = seeded("r3d_tiny", "snl@layer2:2, nl@layer1", dropout=0.5, pooling="attention", embedding_dim=3)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "block", "place"),
    [("r3d_tiny", "nl", "layer2"), ("resnet18", "snl", "layer3"), ("resnet18", "snl", "layer3.0.bn1")],
)
def test_copies_compile_and_export(name: str, block: str, place: str) -> None:
    torch.compiler.reset()
    model, x = seeded(name, f"{block}@{place}").eval(), clip_for(name)
    open_gates(model)
    expected = model(x)
    assert torch.equal(pickle.loads(pickle.dumps(model))(x), expected)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    mask = torch.ones(2, x.shape[2], dtype=torch.bool)
    torch.testing.assert_close(compiled(x, mask), expected)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), expected)
    assert model.clip.frames is None
    assert model.clip.mask_bt is None


@pytest.mark.parametrize(("name", "place"), [("resnet18", "layer3"), ("resnet18", "layer3.0.bn2")])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_padded_frames_of_an_image_network_do_not_exist(name: str, place: str, pooling: str) -> None:
    model = seeded(name, f"snl@{place}, nl@{place}", pooling=pooling, embedding_dim=6, neck="bnneck").eval()
    open_gates(model)
    x = clip_for(name)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    with torch.no_grad():
        expected = torch.cat([model.embed(x[:1]), model.embed(x[1:, :, :2])])
        torch.testing.assert_close(model.embed(x, mask), expected, rtol=1e-4, atol=1e-5)
        assert (model.embed(x) - expected).abs().max() > 1e-3


def test_padded_frames_of_a_video_network_are_never_seen() -> None:
    model = seeded("r3d_tiny", "snl@layer2").eval()
    open_gates(model)
    x = clip_for("r3d_tiny")
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    other = torch.where(mask[:, None, :, None, None], x, 100 * torch.randn_like(x))
    assert torch.equal(model(x, mask), model(other, mask))
    assert not torch.equal(model(x, mask), model(x))


def test_frames_of_a_clip_meet_in_the_block_only() -> None:
    """Without a block, features of a frame depend on that frame alone; with one, on all frames of its clip."""
    x = clip_for("resnet18")
    other = x.clone()
    other[0, :, -1] += 1
    bare, model = seeded("resnet18").eval(), seeded("resnet18", "snl@layer3").eval()
    open_gates(model)
    with torch.no_grad():
        assert torch.equal(bare.forward_features(x)[:, :, :-1], bare.forward_features(other)[:, :, :-1])
        changed = (model.forward_features(x) != model.forward_features(other)).flatten(3).any(3).any(1)
    assert changed.tolist() == [[True] * 4, [False] * 4]


def test_parts_of_the_model() -> None:
    model = create_model(
        "r3d_tiny", num_classes=7, embedding_dim=6, neck="bnneck", input={"size": (32, 16), "frames": 4}
    )
    x = torch.randn(2, 3, 4, 32, 16)
    feature, embedding, logits = model.outputs(x)
    assert (feature.shape, embedding.shape, logits.shape) == ((2, 6), (2, 6), (2, 7))
    assert (model.num_classes, model.embedding_dim, model.feature_dim) == (7, 6, 64)
    assert (model.input.size, model.input.frames) == ((32, 16), 4)
    assert create_model(**json.loads(json.dumps(model.config))).config == model.config
    assert create_model("r3d_tiny", depths=(1, 1)).config["depths"] == [1, 1]
    assert create_model("r3d_tiny", blocks="snl( mode=st )@res3").config["blocks"] == "snl(mode=st)@res3"


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("r3d_81", {}, "backbone 'r3d_81' is unknown. Did you mean 'r3d_18'"),
        ("r3d_18", {"width": 3}, "'width' of backbone 'r3d_18' is unknown: r3d_18 takes no options"),
        ("resnet50", {"last_strid": 1}, "'last_strid' is unknown. Did you mean 'last_stride'"),
        ("r3d_18", {"blocks": "snl@layer5"}, "place 'layer5' is unknown.*Did you mean 'layer4'.*res4 = layer3"),
        ("r3d_18", {"blocks": "sln@layer3"}, "'sln' is unknown. Did you mean 'snl'"),
        ("r3d_18", {"blocks": "spectral@layer3"}, "'spectral@layer3': function=None"),
        ("r3d_18", {"blocks": "snl(imlp=linear)@layer3"}, "'imlp' is unknown. Did you mean 'impl'"),
        ("i3d_inception", {"blocks": "snl@Mixed_4g"}, "'Mixed_4g' is unknown.*Did you mean 'Mixed_4.'.*Mixed_5c"),
        ("r3d_18", {"pooling": "avg"}, "pooling 'avg' is unknown"),
        ("r3d_18", {"input": {"sizes": 3}}, "input field 'sizes' is unknown. Did you mean 'size'"),
        ("r3d_18", {"num_classes": -1}, "num_classes is -1"),
        ("r3d_18", {"weights": "kinetics"}, "weights 'kinetics': there is no such file.*published are 'kinetics400'"),
        ("r3d_tiny", {"weights": "DEFAULT"}, "weights 'DEFAULT': none are published for 'r3d_tiny'"),
    ],
)
def test_mistakes_are_answered_with_the_nearest_right_thing(name: str, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        create_model(name, **options)


def test_wrong_clips_and_masks() -> None:
    model = create_model("r3d_tiny")
    x = torch.randn(2, 3, 4, 32, 32)
    with pytest.raises(ValueError, match=r"'r3d_tiny' has no classifier \(num_classes=None\)"):
        model(x)
    for wrong in (x[0], x[:, :2]):
        with pytest.raises(ValueError, match=r"do not fit: a model takes \(B, 3, T, H, W\)"):
            model.embed(wrong)
    for mask in (torch.ones(2, 4), torch.ones(2, 3, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"must be bool, \(B, T\) = \(2, 4\)"):
            model.embed(x, mask)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_in_half_precision() -> None:
    model = seeded("r3d_18", "snl@layer3, nl@layer3").cuda()
    x = torch.randn(2, 3, 16, 112, 112, device="cuda")
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cuda", dtype):
            loss = model(x).square().mean()
        loss.backward()
        assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
