"""The loop, in one process: what it computes, what it writes, and that an interruption changes nothing."""

import functools
import itertools
import json
import logging
import os
import signal
from pathlib import Path

import pytest
import torch
from checksums import sha256
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch.nn import functional as F
from toy_task import LENGTH, WIDTH, ToyTask, toy_model

from specvid.models.insertion.convolutions import replace_conv
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.meter import EpochMeter
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.signals import Interrupted
from specvid.pipelines.engine.state import TrainState
from specvid.pipelines.engine.task import Callback

BASE = {
    "precision": "fp32",
    "epochs": 3,
    "batch_size": 8,
    "lr": 0.05,
    "workers": 0,
    "device": "cpu",
    "tensorboard": False,
}


def train(
    folder: Path, *, model=None, unreadable: tuple[int, ...] = (), callback: Callback | None = None, **settings
) -> tuple[torch.nn.Module, ToyTask]:
    config = EngineConfig(**{**BASE, **settings})
    run = RunFolder(folder)
    run.start({})
    task = ToyTask(config, unreadable=unreadable)
    return fit(make_fabric(config), model or toy_model(), task, config, run, callback=callback), task


def weights(folder: Path, which: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / which / "model.safetensors")


CHECKPOINTS = [f"{which}/{file}" for which in ("last", "best") for file in ("meta.json", "model.safetensors")]
CHECKPOINTS += ["last/training.pt"]


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_it_is_plain_sgd(tmp_path: Path) -> None:
    """Against the obvious loop, without Fabric, on a network without randomness."""
    settings = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "schedule": "constant"}
    model, task = train(tmp_path, model=toy_model(dropout=0), **settings)
    slow = toy_model(dropout=0)
    decayed = [p for p in slow.parameters() if p.ndim > 1]
    spared = [p for p in slow.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    points = task.feed._loader.dataset
    for step, indices in enumerate(task.seen):
        items = [points[step // 3, index] for index in indices]
        x, label = torch.stack([item["x"] for item in items]), torch.tensor([item["label"] for item in items])
        optimizer.zero_grad()
        F.cross_entropy(slow(x), label).backward()
        optimizer.step()
    for name, parameter in slow.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], parameter)


def test_each_epoch_sees_every_clip_once_in_another_order(tmp_path: Path) -> None:
    _, task = train(tmp_path, epochs=2)
    first, second = (list(itertools.chain(*batches)) for batches in (task.seen[:3], task.seen[3:]))
    assert sorted(first) == sorted(second) == list(range(LENGTH))
    assert first != second


def test_accumulation_changes_nothing(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "a", model=toy_model(norm=False, dropout=0), clip_norm=0.5)
    parts, task = train(tmp_path / "b", model=toy_model(norm=False, dropout=0), clip_norm=0.5, accumulate=4)
    assert {len(batch) for batch in task.seen} == {2}
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor)


def test_the_gradient_is_clipped(tmp_path: Path) -> None:
    model = toy_model(norm=False, dropout=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "lr": 1.0}
    after, _ = train(tmp_path, model=model, epochs=1, batch_size=24, clip_norm=1e-3, **settings)
    moved = torch.cat([(after.state_dict()[name] - tensor).flatten() for name, tensor in before.items()])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)  # one step of rate 1: as long as the clipped gradient


def test_files_of_a_run(tmp_path: Path) -> None:
    _, task = train(tmp_path, tensorboard=True)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert {"loss", "accuracy", "lr", "unreadable", "unreadable_files", "score"} <= line.keys()
        assert line["clips"] == LENGTH
    for line in RunFolder(tmp_path).lines("speed.jsonl"):
        assert line.keys() == {"epoch", "step", "seconds", "clips_per_s", "wait_share"}
        assert 0 <= line["wait_share"] <= 1
    files = {"config.json", "metrics.jsonl", "speed.jsonl", "last", "best", "tensorboard"}
    assert {path.name for path in tmp_path.iterdir()} == files
    assert {path.name for path in (tmp_path / "last").iterdir()} == {"model.safetensors", "meta.json", "training.pt"}
    assert {path.name for path in (tmp_path / "best").iterdir()} == {"model.safetensors", "meta.json"}
    best = json.loads((tmp_path / "best/meta.json").read_text())
    assert best["best_is"] == "highest score of the toy"
    assert best["figures"]["score"] == max(task.evaluated)
    assert json.loads((tmp_path / "last/meta.json").read_text())["epochs"] == 3
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_mean_loss_is_that_of_all_clips(tmp_path: Path) -> None:
    settings = {"optimizer": "sgd", "lr": 1e-12, "weight_decay": 0.0, "epochs": 1}
    _, task = train(tmp_path, model=toy_model(norm=False, dropout=0), **settings)
    items = [task.feed._loader.dataset[0, index] for index in range(LENGTH)]
    x, label = torch.stack([item["x"] for item in items]), torch.tensor([item["label"] for item in items])
    loss = F.cross_entropy(toy_model(norm=False, dropout=0)(x), label).item()
    assert RunFolder(tmp_path).lines()[0]["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    "settings", [{}, {"ema": 0.9}, {"accumulate": 2, "schedule": "onecycle"}, {"precision": "bf16"}]
)
@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path, monkeypatch, settings: dict, step: int) -> None:
    """Stopped right after step ``step`` of 9; saved every 2 steps, so in the middle of an epoch too."""
    settings = {**settings, "save_every": 2}
    train(tmp_path / "whole", **settings)
    update = TrainState.update

    def stop(state: TrainState) -> None:
        update(state)
        if state.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainState, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", **settings)
    monkeypatch.undo()
    torch.rand(3)  # generators stand elsewhere in the new process
    train(tmp_path / "parts", **settings)
    for which in ("last", "best"):
        assert_same(weights(tmp_path / "parts", which), weights(tmp_path / "whole", which))
    for name in ("metrics.jsonl", "last/meta.json", "best/meta.json", "last/model.safetensors", "last/training.pt"):
        assert sha256(tmp_path / "parts" / name) == sha256(tmp_path / "whole" / name), name


def test_without_resuming_the_state_it_would_end_elsewhere(tmp_path: Path, monkeypatch) -> None:
    """The test above can fail: the same training without the saved optimiser and generators gives other weights."""
    train(tmp_path / "whole")
    train(tmp_path / "parts", epochs=2, schedule="constant")
    (tmp_path / "parts/last/training.pt").unlink()
    train(tmp_path / "parts", model=toy_model())
    state = torch.load(tmp_path / "whole/last/training.pt", weights_only=True)
    assert state["step"] == 9
    other = train(tmp_path / "seeded", seed=1)[0].state_dict()
    assert not torch.equal(weights(tmp_path / "whole")["0.weight"], other["0.weight"])


def test_the_average_is_what_is_scored_and_saved(tmp_path: Path) -> None:
    averaged, _ = train(tmp_path / "ema", ema=0.9)
    plain, _ = train(tmp_path / "plain")
    assert_same(weights(tmp_path / "ema"), averaged.state_dict())
    raw = torch.load(tmp_path / "ema/last/training.pt", weights_only=True)["raw"]["weights"]
    assert_same(raw, plain.state_dict())  # the average follows the training, it does not change it
    assert not torch.equal(averaged.state_dict()["0.weight"], plain.state_dict()["0.weight"])


def test_unreadable_clips_are_counted_and_named_once(tmp_path: Path, caplog) -> None:
    logging.getLogger("specvid").propagate = True
    train(tmp_path, unreadable=(3, 11))
    for line in RunFolder(tmp_path).lines():
        assert line["unreadable"] == 2
        assert line["unreadable_files"] == ["point11: unreadable", "point3: unreadable"]
    warnings = [record.getMessage() for record in caplog.records if "unreadable" in record.getMessage()]
    assert len(warnings) == 2  # once each, not once an epoch


def test_clips_that_others_stand_in_for_are_counted_once(tmp_path: Path) -> None:
    """A stand-in that cannot be read either is named, and is no other clip that is missing."""
    meter = EpochMeter()
    loss = torch.tensor(1.0)
    meter.add({"x": torch.zeros(3), "error": ["a: bad\nb: bad", "", "b: bad"]}, loss, {})
    line, _ = meter.line(make_fabric(EngineConfig(**BASE)))
    assert (line["clips"], line["unreadable"], line["unreadable_files"]) == (3, 2, ["a: bad", "b: bad"])


def test_a_diverged_training_says_so(tmp_path: Path) -> None:
    settings = {"optimizer": "sgd", "lr": 1e30, "schedule": "constant"}
    with pytest.raises(ValueError, match=r"training diverged.*Lower --lr"):
        train(tmp_path, model=toy_model(norm=False, dropout=0), **settings)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"checkpoint '.*' is of another model"):
        train(tmp_path, model=torch.nn.Linear(WIDTH, 2))


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    train(tmp_path)
    before = (tmp_path / "last/model.safetensors").stat().st_mtime_ns
    model, task = train(tmp_path)
    assert task.seen == []
    assert_same(model.state_dict(), weights(tmp_path))
    assert (tmp_path / "last/model.safetensors").stat().st_mtime_ns == before


def test_compiled_it_trains_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))  # no C++ compiler needed
    compiled, _ = train(tmp_path / "a", compile=True, model=toy_model(dropout=0))
    plain, _ = train(tmp_path / "b", model=toy_model(dropout=0))
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], tensor)


def test_devices_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match="fp16' needs a GPU"):
        make_fabric(EngineConfig(device="cpu", precision="fp16"))
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"device 'cuda' is not usable here. Usable: cpu"):
            make_fabric(EngineConfig(device="cuda"))
    with pytest.raises(ValueError, match="sync_bn needs GPUs"):
        make_fabric(EngineConfig(device="cpu", sync_bn=True))
    assert isinstance(make_fabric(EngineConfig(device="cpu")), Fabric)


class Ending(Callback):
    """Does something to the training after a step."""

    def __init__(self, step: int, action) -> None:
        self.step, self.action = step, action
        self.steps: list[int] = []
        self.lines: list[dict] = []

    def on_step(self, state: TrainState, figures: dict[str, float]) -> None:
        self.steps.append(state.step)
        assert figures.keys() == {"loss", "clips_per_s", "wait_share"}
        if state.step == self.step:
            self.action(state)

    def on_epoch(self, state: TrainState, line: dict) -> None:
        self.lines.append(line)


def test_a_callback_sees_every_step_and_epoch_and_may_stop(tmp_path: Path) -> None:
    callback = Ending(5, TrainState.stop)
    train(tmp_path, callback=callback)
    assert callback.steps == [1, 2, 3, 4, 5]
    assert callback.lines == RunFolder(tmp_path).lines()
    assert [(line["epoch"], line["step"], line["clips"]) for line in callback.lines] == [(0, 3, 24), (1, 5, 16)]
    assert "score" in callback.lines[-1]  # the last one is scored
    assert json.loads((tmp_path / "last/meta.json").read_text())["steps"] == 5


@pytest.mark.parametrize("steps", [4, 6])
def test_max_steps_cuts_a_training_that_can_go_on(tmp_path: Path, steps: int) -> None:
    train(tmp_path / "whole")
    train(tmp_path / "cut", max_steps=steps)
    assert [line["step"] for line in RunFolder(tmp_path / "cut").lines()] == [3, steps]
    _, task = train(tmp_path / "cut", max_steps=steps)  # nothing to do
    assert task.seen == [] and len(RunFolder(tmp_path / "cut").lines()) == 2
    train(tmp_path / "cut")
    for name in ("metrics.jsonl", *CHECKPOINTS):
        assert sha256(tmp_path / "cut" / name) == sha256(tmp_path / "whole" / name), name


def test_a_cut_epoch_is_no_epoch_without_improvement(tmp_path: Path, monkeypatch) -> None:
    """The score falls, and only the step at which the training is cut scores better than the first epoch."""
    scores = {1: 0.5, 3: 0.9, 4: 1.0, 6: 0.8, 9: 0.7}

    def score(folder: str, **settings) -> list[float]:
        monkeypatch.setattr(TrainState, "scored", property(lambda state: states.append(state) or scored(state)))
        monkeypatch.setattr(ToyTask, "evaluate", lambda task, model: {"score": scores[states[-1].step]})
        train(tmp_path / folder, early_stop=2, **settings)
        return [line["score"] for line in RunFolder(tmp_path / folder).lines()]

    states: list[TrainState] = []
    scored = TrainState.scored.fget
    assert score("whole") == [0.9, 0.8, 0.7]
    assert score("cut", max_steps=4) == [0.9, 1.0]
    assert score("cut") == [0.9, 0.8, 0.7]
    for name in ("metrics.jsonl", *CHECKPOINTS):
        assert sha256(tmp_path / "cut" / name) == sha256(tmp_path / "whole" / name), name
    assert score("first", max_steps=1) == [0.5]
    assert (tmp_path / "first/best/meta.json").is_file()  # the only one there is


def test_videos_with_remarks_are_named_in_the_first_epoch_alone(tmp_path: Path) -> None:
    train(tmp_path / "parts", max_steps=3)
    train(tmp_path / "parts")
    first, *others = RunFolder(tmp_path / "parts").lines()
    assert len(first["repeated_files"]) == first["repeated"] == 8
    assert all(line["repeated"] == 8 and not line["repeated_files"] for line in others)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_signal_saves_the_step_and_ends_the_training(tmp_path: Path, number: int, step: int) -> None:
    train(tmp_path / "whole", accumulate=2)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    callback = Ending(step, lambda state: os.kill(os.getpid(), number))
    words = rf"stopped by {signal.Signals(number).name}: .*last holds {step} of 9 steps .*--resume auto continues"
    with pytest.raises(Interrupted, match=words) as error:
        train(tmp_path / "parts", accumulate=2, callback=callback)
    assert error.value.number == number and callback.steps[-1] == step
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL  # decoding processes may end from here on
    train(tmp_path / "parts", accumulate=2)
    for name in ("metrics.jsonl", "last/model.safetensors", "best/model.safetensors"):
        assert sha256(tmp_path / "parts" / name) == sha256(tmp_path / "whole" / name), name


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    # A program that a shell starts in the background is born with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def twice(state: TrainState) -> None:  # to this thread: sent to the process, two signals may come as one
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt) as error:
            train(tmp_path, callback=Ending(1, twice))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not isinstance(error.value, Interrupted)


def _with_convolution(replacement: str) -> torch.nn.Module:
    torch.manual_seed(7)
    layers = [torch.nn.Unflatten(1, (1, WIDTH)), torch.nn.Conv1d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(8 * (WIDTH - 2), 2))
    replace_conv(network, f"{replacement}@1")
    return network


def test_what_convolutions_add_to_the_loss_is_learned_and_logged(tmp_path: Path) -> None:
    """Against the obvious loop with the regulariser of `linear_conv`."""
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "accumulate": 2}
    model, task = train(tmp_path, model=_with_convolution("linear_conv(weight=0.5)"), **settings)
    slow = _with_convolution("linear_conv(weight=0.5)")
    points, seen = task.feed._loader.dataset, []
    for step, parts in enumerate(zip(task.seen[::2], task.seen[1::2], strict=True)):
        slow.zero_grad()
        for indices in parts:
            items = [points[step // 3, index] for index in indices]
            x, label = torch.stack([item["x"] for item in items]), torch.tensor([item["label"] for item in items])
            seen.append(0.5 * slow[1].correlation().item())
            ((F.cross_entropy(slow(x), label) + 0.5 * slow[1].correlation()) / 2).backward()
        with torch.no_grad():
            for parameter in slow.parameters():
                parameter -= 0.05 * parameter.grad
    for name, parameter in slow.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], parameter)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["conv_penalty"] == pytest.approx(sum(seen[:6]) / 6, rel=1e-4)


def test_the_temperature_of_a_convolution_falls_with_the_training_and_is_saved(tmp_path: Path) -> None:
    train(tmp_path / "a", model=_with_convolution("dynamic_conv(temperature=31.0, anneal=0.5)"), max_steps=3)
    assert weights(tmp_path / "a")["1.temperature"].item() == pytest.approx(31 - 30 * (3 / 9) / 0.5)
    train(tmp_path / "b", model=_with_convolution("dynamic_conv(temperature=31.0, anneal=0.5)"), ema=0.9)
    assert weights(tmp_path / "b")["1.temperature"].item() == 1.0


def test_frozen_convolutions_stand_still_and_trained_ones_do_not_heat_up_again(tmp_path: Path) -> None:
    """The temperature of a frozen layer stays; that of trained weights, 1, does not start at 31 once more."""
    replacement = "dynamic_conv(temperature=31.0, anneal=0.5)"
    frozen = _with_convolution(replacement)
    frozen[1].requires_grad_(False)
    train(tmp_path / "frozen", model=frozen, max_steps=3)
    assert weights(tmp_path / "frozen")["1.temperature"].item() == 31.0
    train(tmp_path / "trained", model=_with_convolution(replacement))
    again = _with_convolution(replacement)
    again.load_state_dict(weights(tmp_path / "trained"))
    train(tmp_path / "again", model=again, max_steps=3)
    assert weights(tmp_path / "again")["1.temperature"].item() == 1.0
    still = _with_convolution("linear_conv(weight=0.5)")
    still[1].requires_grad_(False)
    train(tmp_path / "still", model=still)
    assert "conv_penalty" not in json.loads((tmp_path / "still" / "metrics.jsonl").read_text().splitlines()[0])
