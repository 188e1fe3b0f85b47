"""Grouping and averaging of runs."""

import statistics

from specvid.eval.report import Figures, figure_text, group, repeated, table

CONTEXT = {"split": 1, "views": "1 x 1"}


def figures(blocks: str, seed: int, top1: float, **context: object) -> Figures:
    settings = {"model": "r3d_tiny", "blocks": blocks, "seed": seed, "lr": 0.1}
    return Figures(f"{blocks}-{seed}", settings, {**CONTEXT, **context}, {"top1": top1})


def test_runs_that_differ_only_in_the_seed_are_one_row() -> None:
    runs = [
        figures("", 0, 0.5),
        figures("snl", 0, 0.9),
        figures("", 1, 0.6),
        figures("snl", 1, 0.8),
        figures("", 2, 0.4),
    ]
    bare, snl = group(runs)
    assert bare.runs == ("-0", "-1", "-2")
    assert bare.mean("top1") == statistics.fmean([0.5, 0.6, 0.4])
    assert bare.deviation("top1") == statistics.stdev([0.5, 0.6, 0.4])
    assert snl.runs == ("snl-0", "snl-1")
    rows = table([bare, snl], ["top1"], always=["model", "blocks"])
    assert rows[0] == ["model", "blocks", "split", "views", "runs", "top1"]  # lr is the same everywhere: not shown
    assert rows[1] == ["r3d_tiny", "-", "1", "1 x 1", "3", "50.00 ± 10.00"]
    assert rows[2] == ["r3d_tiny", "snl", "1", "1 x 1", "2", "85.00 ± 7.07"]


def test_another_split_or_view_is_another_row_unless_averaged_over() -> None:
    runs = [figures("", 0, 0.5), figures("", 0, 0.7, split=2), figures("", 0, 0.6, views="10 x 3")]
    assert len(group(runs)) == 3
    over_splits = group(runs, over=("seed", "split"))
    assert [len(row.runs) for row in over_splits] == [2, 1]
    assert over_splits[1].deviation("top1") is None


def test_a_single_run_has_no_deviation_and_a_missing_figure_no_number() -> None:
    rows = table(group([figures("", 0, 0.5)]), ["top1", "mAP"])
    assert rows[1][-2:] == ["50.00", "-"]


def test_only_shares_are_told_in_per_cent() -> None:
    assert figure_text("top1", 0.8107, 0.0042) == "81.07 ± 0.42"
    assert figure_text("top1", 0.05, sign="+") == "+5.00"
    assert figure_text("dimensions", 2.88) == "2.9" and figure_text("dimensions", -1.5, 0.25, sign="+") == "-1.5 ± 0.2"
    assert figure_text("spread", 0.3856) == "0.386" and figure_text("correlation", 0.5163, 0.1) == "0.516 ± 0.100"


def test_what_has_no_settings_makes_no_setting_differ() -> None:
    fused = Figures("fused", {}, {**CONTEXT, "fusion": "mean of a, b"}, {"top1": 0.8})
    rows = table(group([figures("", 0, 0.5), fused]), ["top1"], always=["model", "blocks"])
    assert rows[0] == ["model", "blocks", "split", "views", "fusion", "runs", "top1"]
    assert rows[2] == ["-", "-", "1", "1 x 1", "mean of a, b", "1", "80.00"]


def test_of_paths_the_file_is_shown_where_it_tells_them_apart() -> None:
    def rows(*weights: str) -> list[str]:
        runs = [Figures(path, {"weights": path}, CONTEXT, {"top1": 0.5}) for path in weights]
        return [row[0] for row in table(group(runs), ["top1"])]

    assert rows("/data/a.pth", "/data/b.pth", "") == ["weights", "a.pth", "b.pth", "-"]
    assert rows("/one/a.pth", "/two/a.pth") == ["weights", "/one/a.pth", "/two/a.pth"]


def test_copies_of_a_run_are_not_averaged_without_a_word() -> None:
    copy = Figures("copy", figures("", 0, 0.5).settings, CONTEXT, {"top1": 0.5})
    runs = [figures("", 0, 0.5), copy, figures("", 1, 0.6), figures("", 0, 0.5, split=2), figures("snl", 0, 0.5)]
    (sentence,) = repeated(runs)
    assert sentence.startswith("-0, copy have the same settings and the same seed 0: they count as 2 runs of the mean")
    assert repeated(runs, over=("seed", "split"))[0].startswith(
        "-0, copy have the same settings and the same seed 0, split 1"
    )
    assert not repeated([run for run in runs if run is not copy])
    assert not repeated([figures("", 0, 0.5), figures("", 0, 0.7)])  # two evaluations of one run
    fused = [Figures(name, {}, CONTEXT, {"top1": 0.8}) for name in ("a+b", "c+d")]
    assert not repeated(fused)
