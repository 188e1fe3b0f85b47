"""Jobs of one, two and four processes over gloo, as torchrun starts them: ``python many_processes.py WORLDS DATA OUT``.

All processes are forks of this one, which has imported everything. What the ranks of the job ``NAME`` of W processes
found goes to ``OUT/NAME-W/RANK.json``. Trainings compute in float64, where rounding is no excuse.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations  # this and some below are imported before the first fork, once for all processes
import av
import matplotlib.figure
import pytorch_metric_learning
import torch
from lowest_versions import IS_TORCH_26
from torch import nn
from toy_task import ToyTask, toy_model

from specvid.errors import LostProcessError
from specvid.models import create_model
from specvid.models.heads import Outputs
from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig, ActionEvaluationConfig
from specvid.pipelines.action.evaluate import evaluate
from specvid.pipelines.action.train import ActionTask
from specvid.pipelines.engine import fabric as engine_fabric
from specvid.pipelines.engine.config import ComputeConfig, EngineConfig, NetConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.task import Callback
from specvid.pipelines.engine.training import train
from specvid.pipelines.pretrain.loss import TwinsLoss, make_projector
from specvid.pipelines.reid.config import ReidLossConfig
from specvid.pipelines.reid.loss import ReidLoss

CPU = {"device": "cpu", "precision": "fp32", "workers": 0, "tensorboard": False}
STOP = 5  # a step within the second epoch of the toy, which has three of three steps each
Work = Callable[[int, int, Path], Any]


def in_processes(world: int, work: Work, out: Path) -> list[int]:
    """Call ``work(rank, world, out)`` in forks; what it returns is written. Returns their exit codes."""
    out.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 1
        try:
            numbers = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": world,
                "LOCAL_WORLD_SIZE": world,
                "GROUP_RANK": 0,
            }
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
            os.environ.update({name: str(value) for name, value in {**numbers, **address}.items()})
            found = work(rank, world, out)
            (out / f"{rank}.json").write_text(json.dumps(found))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


class GroupNormTask(ActionTask):
    """Action recognition by a network without batch norm, whose clips do not depend on their company."""

    @staticmethod
    def build_model(config: ActionConfig, lists: Any) -> Any:
        model = ActionTask.build_model(config, lists)
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.modules.batchnorm._BatchNorm):
                    setattr(module, name, nn.GroupNorm(2, child.num_features))
        model.register_forward_pre_hook(lambda module, inputs: (inputs[0].to(next(module.parameters()).dtype),))
        return model


def action(data: str, kind: type[ActionTask] = GroupNormTask, **options: Any) -> Work:
    """A training with a validation part, and the scores of its test part."""

    def work(rank: int, world: int, out: Path) -> Any:
        short = {"frames": 4, "stride": 1, "size": 16, "resize": 20}
        config = ActionConfig(
            name="run",
            runs=str(out),
            clips=ActionClipsConfig(data=data, val_fraction=0.3, **short),
            net=NetConfig(model="r3d_tiny", blocks="snl(gate=0.5, norm=group)@layer2.-1"),
            train=EngineConfig(epochs=2, batch_size=4, lr=0.05, clip_norm=1.0, **options, **CPU),
        )
        entry = train(kind, config)["evaluations"][0]
        return {"lines": RunFolder(out / "run").lines(), "entry": entry}

    return work


def toy(rank: int, world: int, folder: Path, callback: Callback | None = None) -> dict[str, Any]:
    """Three epochs of the toy without norm and dropout."""
    config = EngineConfig(epochs=3, batch_size=8, lr=0.05, save_every=1, **CPU)
    fabric = make_fabric(config)
    task = ToyTask(config, rank=rank, world=world, unreadable=(3,))
    run = RunFolder(folder)
    if rank == 0:
        run.start({})
    model = fit(fabric, toy_model(norm=False, dropout=0), task, config, run, callback=callback)
    return {"weights": [tensor.tolist() for tensor in model.state_dict().values()], "lines": run.lines()}


class Ending(Callback):
    """Does something to the process of one rank after a step, before that is saved."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def on_step(self, state: Any, figures: Any) -> None:
        if state.step == STOP:
            self.act()


class _Stop(Exception):
    pass


def _raise() -> None:
    raise _Stop


def stopped(rank: int, world: int, out: Path) -> Any:
    """The toy, which all ranks leave within an epoch."""
    try:
        toy(rank, world, out / "run", Ending(_raise))
    except _Stop:
        return "stopped"


def resumed(before: Path) -> Work:
    """Goes on with what another number of processes left."""

    def work(rank: int, world: int, out: Path) -> Any:
        return toy(rank, world, before / "run")

    return work


def dying(act: Callable[[], None]) -> Work:
    """The toy, whose last rank dies within an epoch; the others say how long that took, and what they were told."""

    def work(rank: int, world: int, out: Path) -> Any:
        begun = time.monotonic()
        try:
            toy(rank, world, out / "run", Ending(act) if rank == world - 1 else None)
        except LostProcessError as error:
            return {"seconds": time.monotonic() - begun, "error": str(error)}

    return work


def scores(run: str) -> Work:
    """Scores a run."""

    def work(rank: int, world: int, out: Path) -> Any:
        compute = ComputeConfig(device="cpu", workers=0, batch_size=4)
        config = ActionEvaluationConfig(clips=2, crops=1)
        return evaluate([run], config, compute=compute, echo=lambda text: None)["evaluations"][0]

    return work


def triplets(rank: int, world: int, out: Path) -> Any:
    """Gradients of the re-ID loss of a batch of four identities, averaged over processes as DDP does."""
    if world > 1:
        torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    project, classify = nn.Linear(5, 6), nn.Linear(6, 4)
    share = slice(rank * 12 // world, (rank + 1) * 12 // world)
    x, label = torch.randn(12, 5)[share], torch.arange(4).repeat_interleave(3)[share]
    feature, centres = project(x), torch.zeros(4, 6)
    outputs = Outputs(feature=feature, embedding=feature, logits=classify(feature))
    loss, figures = ReidLoss(ReidLossConfig(triplet=1.0, margin=0.3, centre=0.1))(outputs, label, centres)
    loss.backward()
    numbers = [loss.detach(), *(value.float() for value in figures.values())]
    numbers += [parameter.grad for module in (project, classify) for parameter in module.parameters()]
    if world > 1:
        for number in numbers:
            torch.distributed.all_reduce(number)
        torch.distributed.destroy_process_group()
    return [(number / world).tolist() for number in [*numbers, centres * world]]


def twins(rank: int, world: int, out: Path) -> Any:
    """Gradients of the loss without labels of a batch of twelve pairs, averaged over processes as DDP does."""
    if world > 1:
        torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    network, projector = nn.Linear(5, 6).double(), make_projector(6, (7, 4)).double()
    pairs = torch.randn(12, 2, 5, dtype=torch.float64)[rank::world]
    loss, figures = TwinsLoss(projector, 0.1)(network(pairs))
    loss.backward()
    numbers = [loss.detach(), *figures.values()]
    numbers += [parameter.grad for module in (network, projector) for parameter in module.parameters()]
    numbers += [buffer.double() for buffer in projector.buffers()]
    if world > 1:
        for number in numbers:
            torch.distributed.all_reduce(number)
        torch.distributed.destroy_process_group()
    return [(number / world).tolist() for number in numbers]


def sharded(rank: int, world: int, out: Path) -> Any:
    """A step of a network with a block under FSDP; its weights after it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    torch.distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = create_model("r3d_tiny", blocks="snl(gate=0.5)@layer2.-1", num_classes=3).double().eval()
    clips, label = torch.randn(4, 3, 4, 16, 16, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # FSDP takes no convolutions whose weights are channels last
    if world > 1:
        mesh = init_device_mesh("cpu", (world,))
        for child in model.children():
            if any(True for _ in child.parameters()):
                fully_shard(child, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(model(clips[rank::world]), label[rank::world])
    loss.backward()
    optimizer.step()
    weights = {
        name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in model.named_parameters()
    }
    shards = sum(isinstance(value, DTensor) for value in model.parameters())
    torch.distributed.destroy_process_group()
    return {"weights": {name: value.flatten().tolist() for name, value in weights.items()}, "shards": shards}


def main() -> None:
    worlds, data, out = [int(number) for number in sys.argv[1].split(",")], sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    assert albumentations and av and matplotlib.figure and pytorch_metric_learning
    if any(in_processes(1, action(data, ActionTask), out / "trained")):
        sys.exit("no run to score")
    engine_fabric.PRECISIONS["fp32"] = "64-true"
    for world in worlds:
        codes = in_processes(world, action(data), out / f"action-{world}")
        if world == 2:
            codes += in_processes(world, action(data, accumulate=2), out / "accumulated-2")
            codes += in_processes(world, action(data, checkpoint_activations=True), out / "checkpointed-2")
        codes += in_processes(world, lambda rank, world, own: toy(rank, world, own / "run"), out / f"toy-{world}")
        codes += in_processes(world, stopped, out / f"stopped-{world}")
        codes += in_processes(world, scores(str(out / "trained/run")), out / f"scores-{world}")
        codes += in_processes(world, triplets, out / f"triplets-{world}")
        codes += in_processes(world, twins, out / f"twins-{world}")
        if not IS_TORCH_26:
            codes += in_processes(world, sharded, out / f"sharded-{world}")
        if any(codes):
            sys.exit(f"{world} processes: exit codes {codes}")
    for before, after in [(2, 1), (1, 2), (2, 4), (4, 2)]:
        if before in worlds and after in worlds:
            stage = out / f"before-{before}-{after}"
            codes = in_processes(before, stopped, stage)
            codes += in_processes(after, resumed(stage), out / f"resumed-{before}-{after}")
            if any(codes):
                sys.exit(f"from {before} to {after} processes: exit codes {codes}")
    world = worlds[-1]
    exits = in_processes(world, dying(lambda: os._exit(3)), out / "exited")
    killed = in_processes(world, dying(lambda: os.kill(os.getpid(), signal.SIGKILL)), out / "killed")
    (out / "codes.json").write_text(json.dumps([exits, killed]))


if __name__ == "__main__":
    main()
