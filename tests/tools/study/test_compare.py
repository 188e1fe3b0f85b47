"""Differences that stand in the text of docs/results.md are those of its raw rows."""

from pathlib import Path

import pytest

from specvid.tools.study.compare import main

DOCS = Path(__file__).parents[3] / "docs"
PLAIN, RAISED = "snl@conv3.-1", "snl@conv3.-1 block-lr=10 gate-lr=100"
EVEN = "snl@conv3.-1 block-lr=10 gate-lr=10"
LATE = "snl@conv4.-1 block-lr=10 gate-lr=100"
IMAGENET = "snl@features.13 block-lr=10 gate-lr=100"
TWINS = "bare weights=runs/twins/last/model.safetensors"


@pytest.mark.parametrize(
    ("file", "metric", "row", "other", "more", "says"),
    [
        ("relation", "top1", "a2", "snl", [], "+1.67 [+0.15, +3.19]"),
        ("relation", "top1", "a2", "nl", [], "+2.47 [+0.47, +4.46]"),
        ("relation", "top1", "a2", "cheb", [], "+2.73 [+0.81, +4.66]"),
        ("ucf101-5-i3d", "top1", "blocks snl", "blocks se", [], "-0.36 [-1.69, +0.98]"),
        ("relation", "top1", "snl", "se", [], "+7.67 [+5.02, +10.32]"),
        ("ucf101-5-i3d", "top1", "blocks snl", "finetune bare", [], "+1.42 [+0.19, +2.65]"),
        ("mars-mid-osnet", "mAP", f"frames=4 {LATE}", f"frames=4 {RAISED}", [], "+2.19 [+0.94, +3.45]"),
        ("mars-mid-warmup", "mAP", f"{RAISED} block-warmup=0.3", RAISED, [], "-1.99 [-5.70, +1.73]"),
        ("mars-mid-frozen", "mAP", "snl x10 gate x100", "snl", [], "+1.69 [+0.48, +2.90]"),
        ("mars-mid-long", "mAP", RAISED, PLAIN, [], "+1.96 [+1.04, +2.89]"),
        ("mars-mid-long", "mAP", EVEN, RAISED, [], "-1.49 [-3.61, +0.64]"),
        ("mars-mid-long", "mAP", EVEN, "bare", [], "+0.10 [-2.64, +2.85]"),
        ("mars-mid-osnet", "mAP", "frames=2 bare", "frames=4 bare", [], "-3.73 [-6.32, -1.14]"),
        ("mars-mid-osnet", "mAP", "frames=8 bare", "frames=4 bare", [], "-1.41 [-2.40, -0.41]"),
        ("mars-mid-imagenet-all", "mAP", IMAGENET, "bare", [], "+0.62 [-1.13, +2.37]"),
        ("mars-mid-imagenet-all", "rank1", IMAGENET, "bare", [], "+2.87 [+1.14, +4.60]"),
        ("mars-mid-twins", "mAP", TWINS, "bare", [], "+5.93 [+3.99, +7.87]"),
        ("mars-mid-twins-frozen", "mAP", TWINS, "bare", [], "+3.52 [+2.16, +4.89]"),
        ("mars-mid-twins-frozen", "rank1", TWINS, "bare", [], "+7.37 [+4.15, +10.58]"),
        ("mars-mid-twins", "rank1", TWINS, "bare", [], "+5.10 [+4.42, +5.79]"),
        (
            *("mars-mid-rates", "mAP", f"{PLAIN} gate-lr=100", RAISED),
            *(["--other-csv", str(DOCS / "results-mars-mid-warmup.csv")], "-1.66 [-4.42, +1.09]"),
        ),
        (
            *("mars-mid-rates", "mAP", EVEN, RAISED),
            *(["--other-csv", str(DOCS / "results-mars-mid-warmup.csv")], "+2.30 [+1.03, +3.58]"),
        ),
        (
            *("mars-mid-frozen", "mAP", "snl x10 gate x100", "bare"),
            *(["--seeds", *map(str, range(6, 20))], "+0.48 [-0.18, +1.15]"),
        ),
        (
            *("mars-mid-frozen", "mAP", "snl x10 gate x100", "bare"),
            *(["--seeds", *map(str, range(6))], "+1.87 [+0.93, +2.81]"),
        ),
    ],
)
def test_the_page_says_what_the_rows_say(
    file: str, metric: str, row: str, other: str, more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(DOCS / f"results-{file}.csv"), metric, row, other, *more]) == 0
    assert f": {says}, " in capsys.readouterr().out
    assert says in (DOCS / "results.md").read_text(encoding="utf-8")


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relation = str(DOCS / "results-relation.csv")
    for words, why in (
        ([relation, "top1", "a3", "snl"], "row 'a3' is unknown. Did you mean 'a2'"),
        ([relation, "mAP", "a2", "snl"], "figure 'mAP' is unknown"),
        ([relation, "top1", "a2", "snl", "--seeds", "99"], "no seed in common"),
        ([str(tmp_path / "none.csv"), "top1", "a2", "snl"], "No such file"),
        ([str(DOCS.parent / "pyproject.toml"), "top1", "a2", "snl"], "is no CSV of a study or an ablation"),
    ):
        assert main(words) == 2
        assert why in capsys.readouterr().err
