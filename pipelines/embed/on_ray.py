"""The same shards, embedded by actors of a Ray cluster through Ray Data (``pip install specvid[ray]``).

Ray hands out the numbers of the missing shards; each actor holds the network and writes whole shards into the folder,
exactly as a local process does. So the bytes are the same, a lost node costs its shard in the making, and Ray moves
nothing but numbers. The folder must lie where all nodes see it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.job import Job
from specvid.pipelines.engine.processes import Processes


class EmbedShards:
    """An actor: batches of shard numbers in, counts out."""

    def __init__(self, out: str, config: EmbedConfig) -> None:
        self.job = Job.open(out, config, Processes())

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        lines: list[str] = []
        counts = [self.job.run([int(shard)], lines.append) for shard in batch["shard"]]
        said = ["\n".join(lines)] + [""] * (len(counts) - 1)
        return {"videos": np.array([c[0] for c in counts]), "frames": np.array([c[1] for c in counts]), "said": said}


def run_on_ray(job: Job, shards: Sequence[int], tell: Callable[[str], None]) -> tuple[int, int]:
    """Embed ``shards`` on ``running.actors`` actors (with a GPU each where there are GPUs); inputs and frames done."""
    if not shards:
        return 0, 0
    try:
        import ray
        import ray.data
    except ImportError:
        raise ImportError(
            "engine 'ray' is not installed. Run `pip install specvid[ray]`, or use --engine local."
        ) from None
    running = job.config.running
    gpu = job.network.device.type == "cuda"
    owned = not ray.is_initialized()
    if owned:
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards)).map_batches(
            EmbedShards,
            fn_constructor_args=(str(job.folder.path.resolve()), job.config),
            batch_size=1,
            concurrency=min(running.actors, len(shards)),
            num_cpus=1,
            num_gpus=1 if gpu else 0,
        )
        videos = frames = 0
        for number, row in enumerate(data.iter_rows(), start=1):
            videos, frames = videos + int(row["videos"]), frames + int(row["frames"])
            for line in filter(None, str(row["said"]).splitlines()):
                tell(line)
            tell(f"{number} of {len(shards)} shards are there")
        return videos, frames
    finally:
        if owned:
            ray.shutdown()
