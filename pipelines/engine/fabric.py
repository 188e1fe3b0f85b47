"""From the config to Lightning Fabric: device, precision, processes. Nothing else in the engine knows where it runs."""

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from specvid.pipelines.engine.config import EngineConfig

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(config: EngineConfig) -> Fabric:
    """A launched Fabric: one process and device, or DDP over several, on one machine or many.

    Processes come from ``torchrun`` (its numbers win over ``devices`` and ``nodes``), from SLURM, or are started by
    Fabric, which runs this command
    line again once per device. Machines must share the disk that the run's folder is on.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = _device(config)
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    else:
        devices, nodes = config.devices, config.nodes
    if device == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(f"devices {devices} is more than the {torch.cuda.device_count()} GPUs here. Lower --devices.")
    if device == "mps" and devices * nodes > 1:
        raise ValueError(
            f"devices {devices} x nodes {nodes}: mps computes in one process only. Use --devices 1 or --device cpu."
        )
    if config.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    elif device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy() if devices * nodes > 1 else "auto",
        precision=PRECISIONS[config.precision],
    )
    fabric.launch()
    return fabric


def _device(config: EngineConfig) -> str:
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = next(name for name in ("cuda", "mps", "cpu") if usable[name]) if config.device == "auto" else config.device
    if not usable[device]:
        raise ValueError(
            f"device {device!r} is not usable here. Usable: {', '.join(name for name in usable if usable[name])}."
        )
    if config.sync_bn and device != "cuda":
        raise ValueError(f"sync_bn needs GPUs, not device {device!r}: leave out --sync-bn.")
    if config.precision == "fp16" and device == "cpu":
        raise ValueError("precision 'fp16' needs a GPU: on the CPU use --precision bf16 or fp32.")
    return device
