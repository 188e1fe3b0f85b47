"""``specvid demo``: the main job on synthetic data, one file for each part.

Everything lies in one folder. What is there is not made again, so a second call prints the same tables at once.
"""

from pathlib import Path

from specvid.pipelines.engine.log import echo


def demo(root: str | Path = "runs/demo", *, seeds: int = 1) -> int:
    """Run all parts of the demo.

    Args:
        root: Folder that everything is written to; what is there already is used again.
        seeds: Trainings of each network, with seeds 0 to ``seeds`` - 1.

    Returns:
        The exit code. 0: each part showed what it is there to show; 1: one did not, and the printed text says which.

    Raises:
        ValueError: ``seeds`` is less than 1.
    """
    if seeds < 1:
        raise ValueError(f"seeds {seeds} must be at least 1: the demo trains with seeds 0 to seeds - 1.")
    from specvid.pipelines.demo.action import demo_action
    from specvid.pipelines.demo.reid import demo_reid
    from specvid.pipelines.demo.report import demo_reports
    from specvid.pipelines.demo.search import demo_search

    root = Path(root)
    shown = [demo_action(root, seeds=range(seeds)), demo_reid(root, seeds=range(seeds)), demo_search(root, "snl-seed0")]
    demo_reports(root)
    echo(f"\nAll of it lies in {root}; `specvid demo` leaves what stands there as it is.")
    return 0 if all(shown) else 1
