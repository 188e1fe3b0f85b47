"""Embeddings of videos: from files to one Parquet data set.

`launch` starts a job and shares it among processes or Ray actors; `job` is the work of one process. An input (`inputs`,
`tables`) is cut into windows and clips (`windows`), decoded in one pass (`reading`) by processes that run ahead
(`feed`), goes through the network (`network`) while the shard before is written (`stream`, `shards`), into a folder
that a kill cannot harm (`folder`). `rows` reads such a folder, `evaluate` scores it.
"""

from typing import TYPE_CHECKING

from specvid.pipelines.embed.config import EmbedConfig, JobConfig, OutputConfig, WindowConfig

if TYPE_CHECKING:
    from specvid.pipelines.embed.launch import Outcome, embed

__all__ = ["EmbedConfig", "JobConfig", "Outcome", "OutputConfig", "WindowConfig", "embed"]


def __getattr__(name: str) -> object:
    if name in ("Outcome", "embed"):
        from specvid.pipelines.embed import launch

        return getattr(launch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
