"""The frozen study of actions trains the very network, on any set of clips, and names its rows."""

from pathlib import Path

import pytest
import torch
from synthetic_videos import write_numbered
from trained_norms import randomise_norms

import specvid
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.models.weights import save_weights
from specvid.tools.study.frozen_actions import ARMS, CUT, Arm, logits_of, main
from specvid.tools.study.frozen_network import frozen_stages, trained_part, videos
from specvid.tools.study.rated_blocks import RatedBlocks


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A synthetic checkpoint of Inception-I3D."""
    torch.manual_seed(0)
    model = specvid.create_model("i3d_inception", num_classes=400)
    randomise_norms(model)
    path: Path = tmp_path_factory.mktemp("weights") / "i3d.safetensors"
    save_weights(model, path)
    return str(path)


@pytest.mark.parametrize(("stage", "block"), [("", ""), ("", "snl(gate=0.5)"), ("Mixed_3c", "snl(gate=0.5)@Mixed_4b")])
def test_frozen_and_trained_part_are_the_whole_network(weights: str, stage: str, block: str) -> None:
    clip, cut = torch.randn(1, 3, 8, 64, 64), CUT.behind(stage)
    part = trained_part(cut, weights, block, 5, neck="none")
    network = specvid.create_model("i3d_inception", blocks=cut.located(block), num_classes=5, weights=weights)
    network.load_state_dict({**network.state_dict(), **part.state_dict()})
    for model in (network, part):
        model.eval()
    with torch.no_grad():
        maps = frozen_stages(cut, weights, frames=8, stride=1, size=64, resize=64).backbone(clip)
        torch.testing.assert_close(logits_of(part, maps), network(clip), rtol=1e-3, atol=1e-4)


def test_rows_go_by_their_names() -> None:
    assert [Arm.of(arm.name) for arm in ARMS] == list(ARMS)
    assert Arm.of("finetune gc(reduction=8)") == Arm("finetune", RatedBlocks("gc(reduction=8)"))
    assert Arm.of("blocks snl@Mixed_5c.end") == Arm("blocks", RatedBlocks("snl@Mixed_5c.end"))
    assert Arm.of("blocks snl@Mixed_5b, gc@Mixed_5c x10 gate x100") == Arm(
        "blocks", RatedBlocks("snl@Mixed_5b, gc@Mixed_5c", 10, 100)
    )
    with pytest.raises(ValueError, match=r"recipe 'blcks' is unknown\. Did you mean 'blocks'"):
        Arm.of("blcks snl")
    with pytest.raises(ValueError, match=r"block 'sln' is unknown\. Did you mean 'snl'"):
        Arm.of("blocks sln")
    with pytest.raises(
        ValueError, match="puts a block at snl_before_Mixed_4b, which is not in what learns: MaxPool3d_5a"
    ):
        Arm.of("blocks snl@Mixed_4b")
    assert Arm.of("blocks snl@Mixed_4b", CUT.behind("Mixed_3c")) == Arm("blocks", RatedBlocks("snl@Mixed_4b"))
    with pytest.raises(ValueError, match=r"arm 'probe' must be a recipe and blocks, e\.g\. 'blocks snl'"):
        Arm.of("probe")
    with pytest.raises(ValueError, match=r"arm 'probe snl x2': .* Give 'blocks snl x2', or 'probe bare'"):
        Arm.of("probe snl x2")
    with pytest.raises(ValueError, match="arm 'blocks bare': without blocks it is 'probe bare'"):
        Arm.of("blocks bare")


def test_blocks_and_their_gates_learn_at_the_rates_of_the_name() -> None:
    for name, rates in {
        "probe bare": (4e-3, 1, 10),
        "blocks snl": (4e-3, 1, 10),
        "blocks snl gate x1": (4e-3, 1, 1),
        "blocks snl x10 gate x100": (4e-3, 10, 100),
        "finetune snl x10": (4e-4, 10, 10),
    }.items():
        config = Arm.of(name).config(8, 4e-3)
        assert (config.lr, config.block_lr, config.gate_lr) == pytest.approx(rates)


def test_clips_of_several_classes_are_refused(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label,set"]
    for part in ("train", "test"):
        for label in ("a", "b", "a|b"):
            name = f"{part}_{label.replace('|', '')}.avi"
            write_numbered(tmp_path, "plain.avi", 8).rename(tmp_path / name)
            lines.append(f"{name},{label},{part}")
    (tmp_path / "ml.csv").write_text("\n".join(lines) + "\n")
    words = ["--dataset", "table", "--data", str(tmp_path / "ml.csv"), "--weights", weights]
    assert main([*words, "--out", str(tmp_path / "rows.csv")]) == 2
    assert "--data has clips of several classes" in capsys.readouterr().err


def test_frames_that_come_more_than_once_are_told(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = [write_numbered(tmp_path, "plain.avi", 8).rename(tmp_path / f"{frames}.avi") for frames in (1, 2)]
    model = frozen_stages(CUT, weights, frames=16, stride=1, size=32, resize=32)
    assert len(list(videos([VideoRecord(film, 0, film.name) for film in films], ClipSpec.of(model.input)))) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: 2 of 2 videos: frames come more than once, e.g. " in said
    assert "8 frames, fewer than the 16 of a clip" in said
    (tmp_path / "2.avi").write_bytes(b"no film")
    with pytest.raises(ValueError, match=r"2\.avi.*remove this clip from its list"):
        list(videos([VideoRecord(film, 0, film.name) for film in films], ClipSpec.of(model.input)))


def test_a_set_in_folders(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "test"):
        for label in ("Same", "Different"):
            for number in range(8):
                folder = tmp_path / "films" / part / label
                folder.mkdir(parents=True, exist_ok=True)
                write_numbered(folder, "plain.avi", 8).rename(folder / f"{part}_{label}_{number}.avi")
    words = ["--dataset", "folders", "--data", str(tmp_path / "films"), "--weights", weights, "--seeds", "1"]
    words += ["--out", str(tmp_path / "rows.csv"), "--frames", "8", "--stride", "1", "--size", "32", "--epochs", "1"]
    assert main([*words, "--last-frozen", "Mixed_4g", "--arms", "probe bare"]) == 2
    assert "last frozen stage 'Mixed_4g' is unknown. Did you mean" in capsys.readouterr().err
    for arms in (["probe bare"], ["probe bare", "blocks gc"]):
        assert main([*words, "--arms", *arms]) == 0
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["arm", "probe bare", "blocks gc"]
    assert "| blocks | gc    | 1     |" in capsys.readouterr().out
    for other, there in (("--size 64", 32), ("--stride 2", 1), ("--epochs 2", 1), ("--lr 1", 0.004)):
        option, value = other.split()
        assert main([*words, option, value]) == 2
        assert f"{option[2:]} is {there} there, and {float(value):g}" in capsys.readouterr().err
    assert main([*words, "--lr", "1e30", "--out", str(tmp_path / "diverged.csv"), "--arms", "blocks snl"]) == 2
    assert "blocks snl, seed 0: what the trained network computes is not finite." in capsys.readouterr().err
    (tmp_path / "rows.csv").unlink()  # the maps are still there
    assert main([*words, "--size", "64", "--arms", "probe bare"]) == 2
    assert "has maps of other settings: size is 32 there, and 64 here." in capsys.readouterr().err
