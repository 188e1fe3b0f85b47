"""The figures of an ablation's table, by task."""

from specvid.errors import unknown
from specvid.eval.reid.protocols import get_protocol
from specvid.pipelines.ablate.grid import AblationConfig

METRICS = {"reid": ("mAP", "rank1"), "action": ("top1", "mean_class")}
"""Those of a table if none are asked for; the first one decides."""

FIGURES = {
    "reid": ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20"),
    "action": ("top1", "top5", "mean_class", "map", "f1", "mean_f1"),
}
"""Figures that a task is scored by; the last three are of clips with several classes."""


def check_figures(config: AblationConfig) -> None:
    """Check the names of figures and protocol, before anything is trained.

    Args:
        config: the grid.

    Raises:
        ValueError: one is unknown.
    """
    for metric in config.metrics:
        if metric not in FIGURES[config.task]:
            raise unknown("metric", metric, FIGURES[config.task])
    if config.protocol and config.task != "reid":
        raise ValueError(f"protocol {config.protocol!r} is one of re-identification: leave it out with --task action.")
    if config.protocol:
        get_protocol(config.protocol)
