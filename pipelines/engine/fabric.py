"""From the config to Lightning Fabric: device, precision, processes. Nothing else in the engine knows where it runs."""

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from specvid.models.blocks.precision import allow_tf32
from specvid.pipelines.engine.config import ComputeConfig, DistributedConfig, EngineConfig
from specvid.pipelines.engine.devices import resolve_precision, select_device, slow_precision
from specvid.pipelines.engine.log import log
from specvid.pipelines.engine.peers import naming_lost_processes, watching

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(config: ComputeConfig) -> Fabric:
    """Start Lightning Fabric: one process and device, or DDP over several, on one machine or many.

    Processes come from ``torchrun`` (its numbers win over ``devices`` and ``nodes``), from SLURM, or are started by
    Fabric, which runs this command line again once per device. Several machines must share the disk that holds the
    folder of the run.

    Args:
        config: device and precision; ``devices`` and ``nodes`` where it is a `DistributedConfig`, determinism where it
            is an `EngineConfig`.

    Returns:
        The launched Fabric.

    Raises:
        ValueError: a setting that this machine cannot serve.
        LostProcessError: another process of the job ended before all were connected.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device, (devices, nodes) = check_device(config), _processes(config)
    precision = resolve_precision(config).precision
    if warning := slow_precision(precision, device):
        log.warning(warning)
    if isinstance(config, EngineConfig) and config.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    elif device == "cuda":
        torch.backends.cudnn.benchmark = True
    if device == "cuda":
        allow_tf32(config.tf32)
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy() if devices * nodes > 1 else "auto",
        precision=PRECISIONS[precision],
    )
    with watching(), naming_lost_processes(lambda: "the same command starts again."):
        fabric.launch()
    return fabric


def check_device(config: ComputeConfig) -> str:
    """Check that this machine has what a config asks for; nothing is started.

    Args:
        config: as of `make_fabric`.

    Returns:
        The device, without a number.

    Raises:
        ValueError: a setting that this machine cannot serve.
    """
    device = select_device(config.device, precision=config.precision)
    devices, nodes = _processes(config)
    if device == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(f"devices {devices} is more than the {torch.cuda.device_count()} GPUs here. Lower --devices.")
    if device == "mps" and devices * nodes > 1:
        raise ValueError(
            f"devices {devices} x nodes {nodes}: mps computes in one process only. Use --devices 1 or --device cpu."
        )
    if isinstance(config, EngineConfig) and config.sync_bn and device != "cuda":
        raise ValueError(f"sync_bn needs GPUs, not device {device!r}: leave out --sync-bn.")
    return device


def _processes(config: ComputeConfig) -> tuple[int, int]:
    """Processes on each machine, and machines."""
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        return devices, int(os.environ["WORLD_SIZE"]) // devices
    return (config.devices, config.nodes) if isinstance(config, DistributedConfig) else (1, 1)
