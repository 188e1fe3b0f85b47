"""Frozen parts stay bit for bit as they were, cost no gradient, and parts learn at rates of their own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli, create_model
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.optim import parameter_groups
from specvid.pipelines.engine.parts import freeze, modules_of, rate_factors, train_mode
from specvid.pipelines.engine.run import RunFolder

QUICK = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model("r3d_tiny", blocks="snl(norm=batch)@layer2.-1", num_classes=3, dropout=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny")


def names_of(model, place: str) -> set[str]:
    names = {module: name for name, module in model.named_modules()}
    return {names[module] for module in modules_of(model, place)}


def test_parts(model) -> None:
    inserted = next(name for name, module in model.named_modules() if isinstance(module, InsertedBlock))
    blocks = names_of(model, "blocks")
    assert inserted in blocks and all(name.startswith(inserted) for name in blocks)
    assert "backbone.layer2" in names_of(model, "layer2") and not blocks & names_of(model, "layer2")
    assert names_of(model, "res3") == names_of(model, "layer2")
    assert "head.classifier" in names_of(model, "head") and names_of(model, "head.classifier") == {"head.classifier"}
    with pytest.raises(ValueError, match=r"part of the network 'layer7' is unknown.*Did you mean 'layer"):
        modules_of(model, "layer7")


def test_frozen_parts_do_not_train_and_blocks_in_them_do(model) -> None:
    freeze(model, ["backbone"])
    train_mode(model)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all("snl" in name or name.startswith("head") for name in trained)
    for name, module in model.named_modules():
        frozen = name.startswith("backbone") and "snl" not in name
        assert module.training is not frozen, name
    model(torch.randn(2, 3, 4, 32, 32)).sum().backward()
    assert all((parameter.grad is not None) == (name in trained) for name, parameter in model.named_parameters())


def test_nothing_is_computed_backwards_below_the_first_trained_layer(model) -> None:
    freeze(model, ["backbone", "blocks"])
    train_mode(model)
    seen = []
    model.backbone.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    model(torch.randn(2, 3, 4, 32, 32))
    assert seen == [False]


def test_nothing_left_to_train(model) -> None:
    with pytest.raises(ValueError, match="nothing is left to train"):
        freeze(model, ["backbone", "blocks", "head"])


def test_rates(model) -> None:
    factors = dict(rate_factors(model, ["layer1=0.1", "head.classifier=3"], 0.5))
    by_name = {name: factors.get(parameter, 1.0) for name, parameter in model.named_parameters()}
    stages = [name for name, child in model.backbone.named_children() if next(child.parameters(), None) is not None]
    for number, stage in enumerate(reversed(stages), start=1):
        expected = 0.1 if stage == "layer1" else 0.5**number
        own = {f for name, f in by_name.items() if name.startswith(f"backbone.{stage}.") and "snl" not in name}
        assert own == {expected}
    assert by_name["head.classifier.weight"] == 3.0
    assert {f for name, f in by_name.items() if "snl" in name} == {1.0}
    groups = parameter_groups(model, EngineConfig(lr=2.0, lr_scale=("layer1=0.1",)))
    first = next(model.backbone.layer1.parameters())
    assert [group["lr"] for group in groups if any(p is first for p in group["params"])] == [0.2]
    for wrong in ("layer1", "layer1=x", "layer1=0", "=2"):
        with pytest.raises(ValueError, match=r"must be PLACE=FACTOR|is unknown"):
            list(rate_factors(model, [wrong], 1.0))


def train(data: Path, runs: Path, words: str) -> int:
    model = ["--model", "r3d_tiny", "--blocks", "snl(norm=batch)@layer2.-1", "--data", str(data), "--runs", str(runs)]
    return cli.run(["train", "action", *model, *QUICK.split(), *words.split()])


def test_a_frozen_training_leaves_the_backbone_as_it_was(data: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    assert train(data, tmp_path, "--name start --epochs 1") == 0
    (tmp_path / "start" / "last" / "model.safetensors").rename(start)
    assert train(data, tmp_path, f"--name frozen --epochs 2 --recipe blocks --weights {start}") == 0
    before, after = load_file(start), load_file(tmp_path / "frozen" / "last" / "model.safetensors")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("backbone") and "snl" not in name} <= same
    assert {name for name in before if "snl" in name or name.startswith("head")} - same
    assert any("running_mean" in name for name in same)


def test_a_frozen_training_continues_bit_for_bit(data: Path, tmp_path: Path) -> None:
    words = "--epochs 3 --recipe blocks --freeze stem layer1"
    assert train(data, tmp_path, f"--name whole {words}") == 0
    assert train(data, tmp_path, f"--name cut {words} --max-steps 4") == 0
    assert train(data, tmp_path, f"--name cut {words} --resume auto") == 0
    one, two = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_early_stop(data: Path, tmp_path: Path) -> None:
    words = "--name early --epochs 30 --lr 0.01 --val-fraction 0.3 --early-stop 2"
    assert train(data, tmp_path, words) == 0
    run = RunFolder(tmp_path / "early")
    values = [line["val_top1"] for line in run.lines()]
    best = values.index(max(values))
    assert len(values) == best + 3 < 30  # colours are easy: the best is soon reached
    (run.path / "results.json").unlink()
    assert train(data, tmp_path, f"{words} --resume auto") == 0
    assert len(run.lines()) == len(values) and run.results()["evaluations"]


def test_early_stop_says_where_it_ended_and_how_to_go_on(data: Path, tmp_path: Path, capsys) -> None:
    words = "--name early --lr 0.01 --val-fraction 0.3 --schedule constant"
    assert train(data, tmp_path, f"{words} --epochs 30 --early-stop 2") == 0
    run = RunFolder(tmp_path / "early")
    last, steps, best = len(run.lines()), run.lines()[-1]["step"], run.meta("best")["figures"]["epoch"] + 1
    said = f"--early-stop 2 ended the training after epoch {last} of 30: val_top1 has got no better than "
    kept = f" since epoch {best}, which is kept in best/; last/ holds epoch {last}, and is what is scored."
    assert said in capsys.readouterr().err
    assert said in (run.path / "log.txt").read_text() and kept in (run.path / "log.txt").read_text()
    assert train(data, tmp_path, f"{words} --epochs 31 --early-stop 2 --resume auto") == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert f"warning: {said.replace('of 30', 'of 31')}" in printed
    assert "--resume auto with a greater --early-stop, or 0 for none, goes on." in printed
    assert train(data, tmp_path, f"{words} --epochs {last + 1} --early-stop 0 --resume auto") == 2  # not fewer epochs
    assert train(data, tmp_path, f"{words} --epochs 31 --early-stop 0 --resume auto --max-steps {steps + 1}") == 0
    assert len(run.lines()) == last + 1 and run.config()["train"]["early_stop"] == 0


@pytest.mark.parametrize("words", ["--lr-scale layer9=0.1", "--lr-scale layer1=no", "--freeze layer9"])
def test_a_wrong_place_leaves_no_run_behind(data: Path, tmp_path: Path, words: str, capsys) -> None:
    assert train(data, tmp_path / "runs", f"--name wrong --epochs 1 {words}") == 2
    assert words.split()[1].partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_what_a_recipe_sets_is_printed(data: Path, tmp_path: Path, capsys) -> None:
    assert train(data, tmp_path, "--name r --epochs 1 --recipe finetune --lr 0.001") == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert "recipe finetune: --crop multiscale --dropout 0.5 " in printed
    assert "--head-lr 10" in printed and "--clip-norm 10" in printed and "--warmup 0.05" in printed
    assert "set otherwise here: --batch-size 6 --lr 0.001" in printed


def test_early_stop_needs_a_validation_part(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path, "--name early --epochs 3 --early-stop 2") == 2
