"""Embeddings of videos: from files to one Parquet data set.

`job` is the whole of it. An input (`sources`, `tables`) is cut into windows and clips (`windows`), decoded in one pass
(`reading`) by processes that run ahead (`feed`), goes through the network (`network`) while the shard before is written
(`stream`, `shards`), into a folder that a kill cannot harm (`layout`). The engine's `processes` share the work under
torchrun, `on_ray` on a Ray cluster.
"""

from specvid.pipelines.embed.config import EmbedConfig, NetChoice, OutputChoice, RunChoice, WindowChoice
from specvid.pipelines.embed.outcome import Outcome

__all__ = ["EmbedConfig", "NetChoice", "Outcome", "OutputChoice", "RunChoice", "WindowChoice", "embed"]


def __getattr__(name: str) -> object:
    if name == "embed":
        from specvid.pipelines.embed.job import embed

        return embed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
