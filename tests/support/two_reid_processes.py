"""Re-identification in two processes over gloo: ``python two_reid_processes.py DATA RUN OUT``."""

from pathlib import Path

import two_processes
from two_processes import CPU

from specvid.pipelines.engine.config import ComputeConfig, EngineConfig
from specvid.pipelines.reid.config import (
    ReidClipsConfig,
    ReidConfig,
    ReidEvaluationConfig,
    ReidLossConfig,
    ReidNetConfig,
)
from specvid.pipelines.reid.evaluate import evaluate
from specvid.pipelines.reid.train import train


def everything(data: str, run: str, out: Path) -> dict:
    """All checks of one process."""
    scoring = ReidEvaluationConfig(all_protocols=True, test_sampling="all")
    compute = ComputeConfig(device="cpu", workers=0, batch_size=4)
    figures = evaluate([run], scoring, compute=compute, echo=lambda text: None)
    settings = ReidConfig(
        name="pair",
        runs=str(out),
        clips=ReidClipsConfig(data=data, frames=4, height=24, width=30, identities=4, tracklets=2, val_fraction=0.0),
        net=ReidNetConfig(model="r3d_tiny"),
        loss=ReidLossConfig(centre=5e-4),
        train=EngineConfig(epochs=2, batch_size=8, **CPU),
    )
    return {"evaluation": figures["evaluations"][0], "pair": train(settings)["evaluations"][0]}


if __name__ == "__main__":
    two_processes.everything = everything
    two_processes.main()
