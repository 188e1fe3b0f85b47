"""The figures of an ablation's table, by task."""

from specvid.errors import unknown
from specvid.eval.reid.protocols import get_protocol
from specvid.pipelines.ablate.grid import AblationConfig
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.reid.data import ReidLists
from specvid.pipelines.reid.features import check_scorable
from specvid.pipelines.reid.results import published

METRICS = {"reid": ("mAP", "rank1"), "action": ("top1", "mean_class")}
"""Those of a table if none are asked for; the first one decides."""

FIGURES = {
    "reid": ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20"),
    "action": ("top1", "top5", "mean_class", "map", "f1", "mean_f1"),
}
"""Figures that a task is scored by."""

_OF_SEVERAL = ("map", "f1", "mean_f1")  # of clips with several classes, which have no others


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


def check_figures_of(config: AblationConfig, lists: ActionLists | ReidLists) -> None:
    """Check that trainings on some data are scored by the figures of the table, and under its protocol.

    Args:
        config: the grid.
        lists: of the data.

    Raises:
        ValueError: they are not.
    """
    if isinstance(lists, ReidLists):
        have = published(lists.data.protocol)
        if config.protocol and config.protocol not in have:
            raise ValueError(
                f"protocol {config.protocol!r}: trainings on {lists.title} are scored under {', '.join(have)}. Give "
                "one of these, or leave --protocol out."
            )
        if config.protocol:
            check_scorable(lists.data, (config.protocol,))
        return
    have = _OF_SEVERAL if lists.is_multilabel else tuple(set(FIGURES["action"]) - set(_OF_SEVERAL))
    for metric in config.metrics or METRICS["action"]:
        if metric not in have:
            classes = "several classes" if lists.is_multilabel else "one class"
            figures = " ".join(name for name in FIGURES["action"] if name in have)
            raise ValueError(
                f"metric {metric!r} is none of {lists.title}, whose clips have {classes} each: give --metrics "
                f"{figures}, or some of them."
            )
