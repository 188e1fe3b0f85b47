"""The frozen study trains the very network, and pairs its rows by seed."""

import re
from pathlib import Path

import pytest
import torch
from tiny_reid import synthesize_tiny_mars
from trained_norms import randomise_norms

import specvid
from specvid.datasets.layouts.mars import read_mars
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.weights import save_weights
from specvid.pipelines.ablate.statistics import Difference
from specvid.pipelines.engine.block_use import strengths
from specvid.tools.study.frozen_blocks import COLUMNS, main, summary
from specvid.tools.study.frozen_network import CUTS, check_blocks, frozen_stages, outputs, trained_part
from specvid.tools.study.rated_blocks import RatedBlocks
from specvid.tools.study.rows import Rows
from specvid.tools.study.settings import settings_of

NAMES = ("osnet_x0_25", "mobilenet_v2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A synthetic checkpoint of each network."""
    files = {}
    for name in NAMES:
        torch.manual_seed(0)
        model = specvid.create_model(name)
        randomise_norms(model)
        path: Path = tmp_path_factory.mktemp("weights") / f"{name}.safetensors"
        save_weights(model, path)
        files[name] = str(path)
    return files


@pytest.mark.parametrize(
    ("name", "stage", "blocks"),
    [
        *((name, "", blocks) for name in NAMES for blocks in ("", "snl(gate=0.5)", "gc")),
        ("mobilenet_v2", "features.6", "snl(gate=0.5)@features.7"),
        ("osnet_x0_25", "conv2", "snl(gate=0.5)@conv3.0, gc@conv4.-1"),
    ],
)
def test_frozen_and_trained_part_are_the_whole_network(
    weights: dict[str, str], name: str, stage: str, blocks: str
) -> None:
    cut, clip, file = CUTS[name].behind(stage), torch.randn(2, 3, 4, 64, 32), weights[name]
    part = trained_part(cut, file, blocks, 7, neck="bnneck")
    where = cut.located(blocks)
    network = specvid.create_model(cut.model, blocks=where, num_classes=7, neck="bnneck", weights=file, **cut.options)
    inside, state = f"{cut.container}." if cut.container else "", network.state_dict()
    trained = {k.replace("backbone.", f"backbone.{inside}", 1): v for k, v in part.state_dict().items() if v.numel()}
    assert trained.keys() < state.keys()
    network.load_state_dict({**state, **trained})
    for model in (network, part):
        model.eval()
    assert len(list(strengths(part))) == ("snl" in blocks)
    with torch.no_grad():
        frozen = frozen_stages(cut, file, frames=4, stride=1).backbone
        maps = frozen(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 4))
        torch.testing.assert_close(outputs(part, maps).embedding, network.embed(clip), rtol=1e-4, atol=1e-5)


PLACES = {"osnet_x0_25": "conv5.end", "mobilenet_v2": "features.15, gc@features.17.end"}


@pytest.mark.parametrize("name", NAMES)
def test_blocks_stand_at_places_of_their_own(weights: dict[str, str], name: str) -> None:
    cut, blocks = CUTS[name], f"gc@{PLACES[name]}"
    check_blocks(cut, blocks)
    part = trained_part(cut, weights[name], blocks, 7, neck="bnneck")
    assert sum(isinstance(module, InsertedBlock) for module in part.modules()) == blocks.count("@")


def test_where_a_network_can_be_divided() -> None:
    cut = CUTS["mobilenet_v2"]
    assert cut.behind("") is cut
    assert cut.behind("features.6").last_path == "features.6"
    assert cut.behind("features.13") is cut
    for stage in ("features.61", "6", "features.18", "conv2"):
        with pytest.raises(ValueError, match=re.escape(f"last frozen stage {stage!r} is unknown.")):
            cut.behind(stage)
    early = cut.behind("features.6")
    assert RatedBlocks.of("bare", early) == RatedBlocks()
    assert RatedBlocks.of("snl@features.7 x10", early) == RatedBlocks("snl@features.7", 10)
    assert early.located("snl") == "snl@features.7"
    with pytest.raises(ValueError, match=re.escape("puts a block at features.snl_before_6, which is not in what")):
        RatedBlocks.of("snl@features.6", early)


@pytest.mark.parametrize("name", CUTS)
def test_blocks_without_a_place_go_behind_any_stage(name: str) -> None:
    network = specvid.create_model(name, **CUTS[name].options).backbone.get_submodule(CUTS[name].container)
    stages = [child for child, _ in network.named_children()][:-1]
    for stage in stages:
        path = ".".join(filter(None, (CUTS[name].container, stage)))
        check_blocks(CUTS[name].behind(path), "gc")


def test_differences_are_paired_by_seed() -> None:
    bare = {"0": 0.50, "1": 0.60, "2": 0.55}
    block = {"2": 0.56, "0": 0.52, "1": 0.63}
    rows = [
        {"arm": arm, "seed": seed, "mAP": str(value), "rank1": str(value), "gate": gate, "share": share}
        for arm, values, gate, share in (("bare", bare, "", ""), ("snl", block, "0.1", "0.2"))
        for seed, value in values.items()
    ]
    one = Difference.of([100 * (block[seed] - bare[seed]) for seed in bare])
    text = summary(rows)
    assert f"{one.mean:+.2f} [{one.mean - one.half_width:+.2f}, {one.mean + one.half_width:+.2f}]" in text
    assert "+2.00 [-0.48, +4.48]" in text
    assert "not shown" in text


def test_a_block_that_adds_nothing_is_called_unused() -> None:
    rows = [
        {"arm": arm, "seed": str(seed), "mAP": "0.5", "rank1": "0.5", "gate": gate, "share": share}
        for arm, gate, share in (("bare", "", ""), ("snl", "0.0001", "0.002"))
        for seed in (0, 1)
    ]
    assert "unused" in summary(rows)


def test_a_table_is_printed_of_the_same_settings_only(weights: dict[str, str], tmp_path: Path, capsys) -> None:
    data, file = synthesize_tiny_mars(tmp_path / "mars"), weights["osnet_x0_25"]
    of_maps = settings_of("frozen_blocks", read_mars(data), file, model="osnet_x0_25")
    settings = {**of_maps, "frames": 4, "epochs": 6, "lr": 3.5e-4}
    rows = Rows(tmp_path / "rows.csv", COLUMNS, settings)
    rows.add({**dict.fromkeys(COLUMNS, 0.5), "arm": "bare", "seed": 3, "gate": None, "gate_max": "", "share": None})
    words = ["--data", str(data), "--weights", file, "--out", str(rows.path), "--seeds", "1", "--arms", "bare"]
    assert main([*words, "--first-seed", "3"]) == 0
    assert "| bare  | 1     | 50.00 |" in capsys.readouterr().out
    others = {"weights": weights["mobilenet_v2"], "model": "mobilenet_v2", "frames": "8", "epochs": "999", "lr": "1"}
    for name, value in {**others, "last-frozen": "conv3"}.items():
        assert main([*words, "--first-seed", "3", f"--{name}", value]) == 2
        assert f"has rows of other settings: {name.replace('-', '_')} is " in capsys.readouterr().err
    assert main(words) == 2  # seed 0 is to be measured, of a set that has 2 identities
    assert "--data has 2 identities to train on, less than the 8 of a batch: give more." in capsys.readouterr().err
    assert not rows.path.with_suffix(".safetensors").exists()
