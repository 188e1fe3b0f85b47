"""`specvid models` and `specvid models show`: figures against torchvision's own and against counts by hand; places that
are named must be places."""

import dataclasses
import json
import re
import shlex
import subprocess
import sys

import pytest
import torch
from torchvision.models import get_model_weights, list_models

from specvid import cli, create_model, list_backbones
from specvid.models.about import backbone_info, model_on_meta, multiply_adds
from specvid.models.backbones.registry import list_schemes
from specvid.models.blocks import list_blocks
from specvid.models.convolutions import list_convolutions
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.insertion.parts import list_parts
from specvid.models.table import FILE, SCHEMES, clip_text, match_backbones, read_table
from specvid.models.tree import describe
from specvid.tools.docs.backbones import as_text

QUICK = ("r3d_18", "mobilenet_v2", "swin_t")
TORCHVISION = [name for name in list_backbones() if name in list_models() and list(get_model_weights(name))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in TORCHVISION]
)
def test_figures_are_torchvisions_own(name: str) -> None:
    """Its ``_ops`` are 10^9 multiply-adds, of one image or of one clip, of some networks a shorter one than they are
    made for; it counts the classifier too.
    """
    meta, found = next(iter(get_model_weights(name))).meta, backbone_info(name)
    gmacs = found.gmacs
    if name in ("s3d", "swin3d_t", "swin3d_s", "swin3d_b"):
        gmacs = multiply_adds(model_on_meta(name, input={"frames": 16})) / 1e9
    classes = len(meta["categories"])
    classifier = (found.features + 1) * classes
    assert found.parameters + classifier == meta["num_params"]
    images = found.input.frames if found.per_frame else 1
    own = meta["_ops"] * images
    assert gmacs == pytest.approx(own, rel=0.01, abs=images * 2 * classifier / 1e9 + 0.001 * images)


REGENERATE = "models/table.json is old: python -m specvid.tools.docs.backbones [NAME ...]"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in list_backbones()]
)
def test_the_table_that_is_checked_in_is_what_networks_say(name: str) -> None:
    assert read_table().backbones.get(name) == backbone_info(name), REGENERATE


def test_the_table_lists_all_there_is_as_it_is_written() -> None:
    table = read_table()
    assert list(table.backbones) == list_backbones(), REGENERATE
    lists = {"blocks": list_blocks(), "parts": list_parts(), "convolutions": list_convolutions()}
    assert {kind: list(getattr(table, kind)) for kind in lists} == lists, REGENERATE
    backbones = [dataclasses.asdict(one) for one in table.backbones.values()]
    assert as_text({"backbones": backbones} | lists) == FILE.read_text()


def test_the_list_needs_no_torch() -> None:
    code = "import sys; from specvid import cli; assert cli.run(['models']) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "r3d_18" in done.stdout


@pytest.mark.parametrize(
    ("block", "by_hand"),
    [
        # N = 4 x 10 x 10 positions, C = 64, Cs = 32: four 1x1 convolutions, and N x N scores and sums
        ("nl", 400 * 64 * 32 * 4 + 2 * 400 * 400 * 32),
        # five 1x1 convolutions, degrees of 64 rows, and 32 channels to 64 coefficients and back
        ("snl", 400 * 64 * 32 * 5 + 400 * 64 + 2 * 400 * 64 * 32),
    ],
)
def test_what_blocks_cost_is_counted_on_the_meta_device(block: str, by_hand: int) -> None:
    bare, model = model_on_meta("r3d_tiny"), model_on_meta("r3d_tiny", blocks=f"{block}@layer2.-1")
    assert all(parameter.is_meta for parameter in model.parameters())
    assert multiply_adds(model) - multiply_adds(bare) == by_hand
    assert multiply_adds(create_model("r3d_tiny", blocks=f"{block}@layer2.-1")) == multiply_adds(model)


def test_patterns() -> None:
    assert match_backbones("") == list_backbones()
    assert match_backbones("r3d_18") == ["r3d_18"]
    assert set(match_backbones("tiny")) == {name for name in list_backbones() if "tiny" in name}
    assert set(match_backbones("resnet1*")) == {"resnet18", "resnet101", "resnet152"}
    with pytest.raises(ValueError, match=r"pattern 'rezn?et50' fits none of the \d+ backbones. Near it: .*resnet50"):
        match_backbones("rezet50")


def test_every_scheme_is_told() -> None:
    assert sorted(SCHEMES) == list_schemes()


def test_the_list_says_where_weights_come_from(capsys) -> None:
    assert cli.run(["models", "r3d"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"r3d_18 +3D +33\.17 M +40\.70 +16 x 112 x 112, every 2nd frame +512 +kinetics400 +Kinetics-400", out
    )
    assert "BSD-3-Clause" in out
    assert "data sets they were trained on" in out
    assert cli.run(["models", "r3d_18", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["pretrained"]["kinetics400"]["url"].startswith("https://download.pytorch.org/")
    assert (one["name"], one["input"]["frames"], one["per_frame"]) == ("r3d_18", 16, False)
    assert cli.run(["models", "r9d"]) == 2
    assert "pattern 'r9d' fits none" in capsys.readouterr().err


def test_clip_text() -> None:
    spec = create_model("r3d_tiny").input
    assert clip_text(spec.override({"stride": 1, "size": (32, 16)})) == "8 x 32 x 16, every frame"
    assert clip_text(spec.override({"stride": 8})) == "8 x 40 x 40, every 8th frame"


@pytest.mark.parametrize("name", ["r3d_tiny", pytest.param("mvit_v2_s", marks=pytest.mark.slow)])
def test_places_that_the_tree_names_take_a_block_of_the_width_it_says(name: str) -> None:
    rows = re.findall(r"^ +(\S+) .*? (\d+|no) \| (\d+|no)$", describe(name), re.M)
    assert len(rows) >= 6
    for path, *widths in rows:
        for place, width in zip((path, f"{path}.end"), widths, strict=True):
            if width == "no":
                with pytest.raises(ValueError, match="cannot stand"):
                    model_on_meta(name, blocks=f"snl@{place}")
                continue
            model = model_on_meta(name, blocks=f"snl@{place}")
            (inserted,) = [module for module in model.modules() if isinstance(module, InsertedBlock)]
            assert inserted.block.channels == int(width), place


def test_the_tree_marks_blocks_and_follows_the_clip() -> None:
    text = describe("r3d_tiny", blocks="snl@res3, nl@layer1.0.bn3", input={"frames": 4, "size": 24})
    marked = [line.split()[1] for line in text.splitlines() if line.startswith("+")]
    assert marked == ["layer1.0.bn3.nl_before", "layer2.snl_before_1"]
    assert re.search(r"layer2\.1 +Bottleneck +64 x 2 x 6 x 6 +64 \| 64", text)
    assert "clip of 4 x 24 x 24" in text
    assert "layer2 = res3: 2 children, layer2.0 to layer2.1" in text
    added = sum(p.numel() for p in model_on_meta("r3d_tiny", blocks="snl@res3, nl@layer1.0.bn3").parameters()) - sum(
        p.numel() for p in model_on_meta("r3d_tiny").parameters()
    )
    assert f"{added:,} of them in inserted blocks" in text


def test_an_image_network_shows_one_frame() -> None:
    text = describe("mobilenet_v2", blocks="snl@features.13")
    assert "an image network, run per frame; blocks see all frames of a clip" in text
    assert re.search(r"^\+ +features\.snl_before_13 +[\d,]+ parameters +96 x 14 x 14$", text, re.M)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("models show", r"NAME is not given"),
        ("models show r3d_tny", r"backbone 'r3d_tny' is unknown. Did you mean 'r3d_tiny'"),
        ("models show r3d_tiny --blocks snl@layr2", r"place 'layr2' is unknown.*Did you mean 'layer2'"),
        ("models show mvit_v2_s --frames 8", r"built for 16 and takes nothing else; build it with frames="),
    ],
)
def test_mistakes(line: str, message: str, capsys, monkeypatch) -> None:
    monkeypatch.delenv("SPECVID_DEBUG", raising=False)
    assert cli.run(shlex.split(line)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_blocks_run_on_the_meta_device() -> None:
    model = model_on_meta("r3d_tiny", blocks="snl@layer1, heat@layer2, arma@layer2.end, dnl@layer2")
    assert model.embed(torch.empty(2, 3, 8, 40, 40, device="meta")).shape == (2, 64)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmaction:ResNet3d(depth=18, base_channels=16)", "layer3 = res4: 2 children"),
        pytest.param("mmaction:ResNet3dSlowOnly", "layer3 = res4: 6 children", marks=pytest.mark.slow),
        pytest.param("mmaction:X3D", "layer3 = res4: 5 children", marks=pytest.mark.slow),
    ],
)
def test_mmaction2s_networks_are_described(name: str, message: str) -> None:
    pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")
    assert message in describe(name, input={"frames": 8, "size": 64})
