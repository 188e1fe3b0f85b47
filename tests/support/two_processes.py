"""Engine and evaluation in two processes over gloo, as torchrun starts them: ``python two_processes.py DATA RUN OUT``.

The processes are forks of one that has imported everything; each writes what it found to ``OUT/rankR.json``.
"""

import json
import os
import socket
import sys
import traceback
from pathlib import Path

import torch
from toy_task import ToyTask, toy_model

from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig, ActionEvaluationConfig
from specvid.pipelines.action.evaluate import evaluate
from specvid.pipelines.action.train import train
from specvid.pipelines.engine.config import ComputeConfig, EngineConfig, NetConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.gather import gather_rows, share_buffers, sum_over_processes
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder

WORLD = 2
CPU = {"device": "cpu", "precision": "fp32", "workers": 0, "tensorboard": False}


def message(function, *arguments, **named) -> str:
    """The text of the error that ``function`` raises."""
    try:
        function(*arguments, **named)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return "no error"


def everything(data: str, run: str, out: Path) -> dict:
    """All checks of one process."""
    config = EngineConfig(epochs=2, batch_size=8, lr=0.05, clip_norm=0.5, **CPU)
    fabric = make_fabric(config)
    rank = fabric.global_rank
    found: dict = {"world": fabric.world_size}

    toy = RunFolder(out / "toy")
    toy.path.mkdir(exist_ok=True)
    task = ToyTask(config, rank=rank, world=WORLD, unreadable=(3,))
    model = fit(fabric, toy_model(norm=False, dropout=0), task, config, toy)
    found["toy"] = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    found["seen"] = task.seen

    settings = EngineConfig(epochs=1, batch_size=8, lr=0.05, ema=0.9, **CPU)
    averaged = RunFolder(out / "averaged")
    averaged.path.mkdir(exist_ok=True)
    model = fit(fabric, toy_model(), ToyTask(settings, rank=rank, world=WORLD), settings, averaged)
    found["averaged"] = {name: tensor.tolist() for name, tensor in model.state_dict().items()}

    share = [(index, index * index) for index in range(rank, 7, WORLD)]
    found["rows"] = gather_rows(fabric, share, 7)
    padded = [*share, (6, 36)]
    found["padded"] = message(gather_rows, fabric, padded, 7)
    found["sums"] = sum_over_processes(fabric, [1.0, rank])

    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean.fill_(rank)
    share_buffers(fabric, norm)
    found["buffers"] = norm.running_mean.tolist()

    compute = ComputeConfig(device="cpu", workers=0, batch_size=4)
    scoring = ActionEvaluationConfig(clips=2, crops=3)
    evaluations = evaluate([run], scoring, compute=compute, echo=lambda text: None)
    found["evaluation"] = evaluations["evaluations"][0]

    short = {"frames": 4, "stride": 1, "size": 16, "resize": 20}
    settings = ActionConfig(
        name="pair",
        runs=str(out),
        clips=ActionClipsConfig(data=data, val_fraction=0.3, **short),
        net=NetConfig(model="r3d_tiny"),
        train=EngineConfig(epochs=2, batch_size=4, **CPU),
    )
    found["pair"] = train(settings)["evaluations"][0]
    found["again"] = message(train, settings)  # rank 0 refuses; the other must not wait for it
    return found


def main() -> None:
    data, run, out = sys.argv[1:]
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(WORLD):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 1
        try:
            numbers = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": WORLD,
                "LOCAL_WORLD_SIZE": WORLD,
                "GROUP_RANK": 0,
            }
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
            os.environ.update({name: str(value) for name, value in {**numbers, **address}.items()})
            found = everything(data, run, Path(out))
            (Path(out) / f"rank{rank}.json").write_text(json.dumps(found))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(map(abs, codes)))


if __name__ == "__main__":
    main()
