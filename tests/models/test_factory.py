"""`create_model`: every block; random streams; copies; masks; mistakes. All backbones: `test_matrix`."""

import json
import pickle

import pytest
import torch
from backbone_cases import CASES

import specvid
from specvid.models import create_model
from specvid.models.video_model import VideoModel


def clip_for(name: str) -> torch.Tensor:
    return CASES[name].clip()


def seeded(name: str, blocks: str = "", **options: object) -> VideoModel:
    return CASES[name].create(blocks, **options)


def run(model: VideoModel, x: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(2)  # for dropout and stochastic depth
    return model(x)


def open_gates(model: VideoModel) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("gate"):
            torch.nn.init.constant_(parameter, 0.5)


@pytest.mark.parametrize("block", [b for b in specvid.list_blocks() if b != "spectral"])  # which takes a function
@pytest.mark.parametrize("name", ["r3d_tiny", "resnet18"])
def test_every_block_goes_in(name: str, block: str) -> None:
    x, place = clip_for(name), CASES[name].places[1]
    bare, model = seeded(name), seeded(name, f"{block}@{place}")
    for training in (True, False):
        bare.train(training), model.train(training)
        assert torch.equal(run(bare, x), run(model, x))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    open_gates(model)
    with torch.no_grad():
        assert model.embed(x, mask).isfinite().all()


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
    ("name", "options", "message"),
    [
        ("r3d_81", {}, "backbone 'r3d_81' is unknown. Did you mean 'r3d_18'"),
        ("r3d_81", {"last_stride": 1}, "backbone 'r3d_81' is unknown. Did you mean 'r3d_18'"),
        ("r3d_18", {"width": 3}, r"create_model: 'width' is unknown.*backbone 'r3d_18' has none"),
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
def test_mistakes_are_answered_with_the_nearest_right_thing(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
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


def test_options_in_the_name_are_those_of_the_backbone() -> None:
    model = create_model("resnet18(last_stride=1)", num_classes=3)
    assert (model.config["name"], model.config["last_stride"]) == ("resnet18", 1)
    assert create_model(**model.config).config == model.config
    pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")
    theirs = create_model("mmaction:ResNet3d(depth=18, base_channels=16, inflate=(0, 0, 1, 1))")
    assert (theirs.config["name"], theirs.config["depth"]) == ("mmaction:ResNet3d", 18)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmaction:ResNet3d(conv_cfg={'type': 'os.system'})", "'conv_cfg' is .*Give others in Python"),
        ("mmaction:ResNet3d(style=os.system)", "'style' is 'os.system'; in a name it may be a word, a number"),
        ("mmaction:ResNet3d(inflate=(1, 'os.system'))", "Give others in Python"),
        ("resnet18(last_stride=1", "its options do not end with"),
        ("resnet18(last_stride)", "'last_stride' is not of the form name=value"),
        ("resnet18(last_stride=1, last_stride=2)", "'last_stride' is given twice"),
        ("resnet18(stride=1)", "option of backbone 'resnet18.*': 'stride' is unknown. Did you mean 'last_stride'"),
    ],
)
def test_mistakes_in_options_of_a_name(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(name)


def test_an_option_in_the_name_and_again() -> None:
    with pytest.raises(ValueError, match="'last_stride' is given in the name and again"):
        create_model("resnet18(last_stride=1)", last_stride=1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"num_class": 3}, r"'num_class' is unknown. Did you mean num_classes=\?.*last_stride"),
        (
            "r3d_18",
            {"pretrained": True},
            r"Did you mean weights='DEFAULT'\? Arguments: blocks, conv, num_classes,.*has none",
        ),
        ("r3d_18", {"dim": 128}, r"Did you mean embedding_dim=\?"),
        (
            "resnet18",
            {"laststride": 1},
            r"Did you mean 'last_stride'\?.*options: those of backbone 'resnet18' are last_str",
        ),
        ("slowfast_r50", {}, "Did you mean 'mmaction:ResNet3dSlowFast'"),
        ("x3d_m", {}, "Did you mean 'mmaction:X3D'"),
        ("vit_base_patch16_224", {}, "Did you mean 'timm:vit_base_patch16_224'"),
        ("r3d18", {}, "Did you mean 'r3d_18'"),
        ("r3d_18", {"weights": True}, "weights True must be a file or a name: 'DEFAULT' for the published ones"),
        ("r3d_18", {"blocks": ["snl@layer3"]}, "is a list, and must be a text: the form is block"),
        ("r3d_18", {"input": 16}, "input 16 must be a dictionary of fields of InputSpec"),
        (18, {}, "backbone 18 must be a name"),
    ],
)
def test_names_that_an_engineer_guesses(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(name, **options)


def test_other_libraries_options_are_left_to_them() -> None:
    pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")
    with pytest.raises(ValueError, match=r"'num_class' is unknown. Did you mean num_classes="):
        create_model("mmaction:ResNet", num_class=3)
    with pytest.raises(ValueError, match=r"'dept' is unknown. Did you mean 'depth'"):
        create_model("mmaction:ResNet", dept=18)


def test_no_blocks_may_be_none() -> None:
    assert create_model("r3d_tiny", blocks=None).config["blocks"] == ""
