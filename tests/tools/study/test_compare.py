"""Differences that stand in the text of docs/results.md are those of its raw rows."""

from pathlib import Path

import pytest

from specvid.tools.study.compare import main

DOCS = Path(__file__).parents[3] / "docs"
PLAIN, RAISED = "snl@conv3.-1", "snl@conv3.-1 block-lr=10 gate-lr=100"
EVEN = "snl@conv3.-1 block-lr=10 gate-lr=10"
LATE = "snl@conv4.-1 block-lr=10 gate-lr=100"
RATES = "block-lr=10 gate-lr=100"
FAST = "snl x10 gate x100"
THREE = "snl@MaxPool3d_5a_2x2, snl@Mixed_5b.end, snl@Mixed_5c.end"
FIVE = "snl@MaxPool3d_5a_2x2, snl@Mixed_5b, snl@Mixed_5b.end, snl@Mixed_5c, snl@Mixed_5c.end"
EARLY, UCF_PLACES = "blocks snl@MaxPool3d_4a_3x3", ["--other-csv", str(DOCS / "results-ucf101-5-places.csv")]
UCF_RATES = ["--other-csv", str(DOCS / "results-ucf101-5-rates.csv")]
UCF_FRAMES8 = ["--other-csv", str(DOCS / "results-ucf101-5-frames8.csv")]
UCF_FRAMES4 = ["--other-csv", str(DOCS / "results-ucf101-5-frames4.csv")]
APART_4 = ["--other-csv", str(DOCS / "results-ucf101-5-frames8x4.csv")]
DRAWN_THREE = "snl@layer1.end, snl@layer2.-1, snl@layer2.end"
DRAWN_FIVE = "snl@layer1.0, snl@layer1.end, snl@layer2.0, snl@layer2.1, snl@layer2.end"
DRAWN_RAISED = f"snl@layer2.-1 {RATES}"
IMAGENET = "snl@features.13 block-lr=10 gate-lr=100"
TWINS = "bare weights=runs/twins/last/model.safetensors"
FROM_TWINS = ["--other-csv", str(DOCS / "results-mars-mid-twins.csv")]
FEW_FRAMES = "snl@layer2.-1 frames=4 stride=4"


@pytest.mark.parametrize(
    ("file", "metric", "row", "other", "more", "says"),
    [
        ("relation", "top1", "a2", "snl", [], "+1.67 [+0.15, +3.19]"),
        ("relation", "top1", "a2", "nl", [], "+2.47 [+0.47, +4.46]"),
        ("relation", "top1", "a2", "cheb", [], "+2.73 [+0.81, +4.66]"),
        ("ucf101-5-i3d", "top1", "blocks snl", "blocks se", [], "-0.36 [-1.69, +0.98]"),
        ("relation", "top1", "snl", "se", [], "+7.67 [+5.02, +10.32]"),
        ("ucf101-5-places", "top1", "blocks snl", "probe bare", [], "+3.20 [+2.36, +4.03]"),
        ("ucf101-5-places", "top1", "blocks snl", "blocks snl@Mixed_5c.end", [], "+3.20 [+1.50, +4.89]"),
        ("ucf101-5-places", "top1", f"blocks {THREE}", "blocks snl", [], "-1.07 [-2.27, +0.14]"),
        ("ucf101-5-finetune", "top1", f"snl@MaxPool3d_4a_3x3 {RATES}", "bare", [], "-3.55 [-7.22, +0.12]"),
        ("ucf101-5-finetune", "top1", f"snl@Mixed_5c.end {RATES}", "bare", [], "+3.79 [-0.70, +8.27]"),
        (
            "ucf101-5-finetune",
            "top1",
            f"snl@Mixed_4f.end {RATES}",
            f"snl@Mixed_5c.end {RATES}",
            [],
            "+3.08 [+0.03, +6.12]",
        ),
        (
            "ucf101-5-finetune",
            "top1",
            f"snl@Mixed_4f.end {RATES}",
            f"snl@MaxPool3d_4a_3x3 {RATES}",
            [],
            "+10.41 [+6.58, +14.25]",
        ),
        (
            "ucf101-5-finetune",
            "top1",
            f"snl@Mixed_5c.end {RATES}",
            f"snl@MaxPool3d_4a_3x3 {RATES}",
            [],
            "+7.34 [+2.79, +11.88]",
        ),
        ("ucf101-5-frames4", "top1", "finetune nl", "finetune bare", [], "+2.96 [+0.95, +4.97]"),
        ("ucf101-5-frames4", "top1", "finetune cheb", "finetune bare", [], "+6.86 [+4.29, +9.44]"),
        ("ucf101-5-frames4", "top1", "finetune a2", "finetune bare", [], "+7.46 [+4.23, +10.68]"),
        ("ucf101-5-frames4", "top1", "finetune gc", "finetune bare", [], "+4.62 [+2.33, +6.90]"),
        ("ucf101-5-frames4", "top1", "finetune se", "finetune bare", [], "+3.67 [+2.16, +5.17]"),
        ("ucf101-5-frames4", "top1", "blocks snl", "probe bare", [], "+8.52 [+7.68, +9.36]"),
        ("ucf101-5-frames4", "top1", "finetune snl", "probe bare", [], "+11.24 [+9.77, +12.71]"),
        ("ucf101-5-frames2", "top1", "finetune snl", "probe bare", [], "+10.18 [+7.13, +13.22]"),
        ("ucf101-5-frames4", "top1", "finetune snl", "blocks snl", [], "+2.72 [+1.11, +4.33]"),
        ("ucf101-5-frames4", "top1", "finetune bare", "probe bare", [], "+5.09 [+2.46, +7.72]"),
        ("ucf101-5-frames4", "top1", "finetune a2", "finetune se", [], "+3.79 [+1.49, +6.09]"),
        ("ucf101-5-frames4", "top1", "finetune a2", "finetune nl", [], "+4.50 [+0.69, +8.30]"),
        ("ucf101-5-frames4", "top1", "finetune cheb", "finetune se", [], "+3.20 [+1.67, +4.72]"),
        ("ucf101-5-frames4", "top1", "finetune cheb", "finetune nl", [], "+3.91 [+0.85, +6.96]"),
        ("ucf101-5-frames4", "top1", "finetune snl", "finetune a2", [], "-1.30 [-2.62, +0.01]"),
        ("ucf101-5-frames4", "top1", "finetune snl", "finetune bare", UCF_FRAMES8, "-3.67 [-6.97, -0.37]"),
        ("ucf101-5-frames2", "top1", "finetune snl", "finetune bare", [], "+11.60 [+10.61, +12.58]"),
        ("ucf101-5-frames2", "top1", "blocks snl", "probe bare", [], "+10.89 [+8.97, +12.80]"),
        ("ucf101-5-frames2", "top1", "finetune snl", "blocks snl", [], "-0.71 [-2.61, +1.19]"),
        ("ucf101-5-frames2", "top1", "finetune bare", "probe bare", [], "-1.42 [-4.00, +1.16]"),
        ("ucf101-5-frames2", "top1", "finetune snl", "finetune bare", UCF_FRAMES4, "+3.31 [-1.11, +7.74]"),
        ("ucf101-5-finetune", "top1", "snl@Mixed_4f.end", "bare", [], "+2.84 [+1.88, +3.80]"),
        ("ucf101-5-finetune", "top1", "snl@Mixed_4f.end", f"snl@Mixed_4f.end {RATES}", [], "-4.02 [-5.93, -2.12]"),
        ("ucf101-5-lr", "top1", "blocks snl gate x1", "probe bare", [], "+5.33 [+4.43, +6.23]"),
        ("ucf101-5-lr", "top1", "blocks snl", "probe bare", [], "+5.56 [+4.45, +6.68]"),
        ("ucf101-5-lr", "top1", "blocks snl", "blocks snl gate x1", [], "+0.24 [-0.75, +1.22]"),
        ("ucf101-5-lr", "top1", "probe bare", "probe bare", UCF_PLACES, "-2.37 [-3.53, -1.21]"),
        ("ucf101-5-lr", "top1", "blocks snl gate x1", "blocks snl gate x1", UCF_RATES, "-0.12 [-0.92, +0.69]"),
        ("ucf101-5-places", "top1", f"blocks {FIVE}", "probe bare", [], "+2.72 [+1.49, +3.95]"),
        ("ucf101-5-places", "top1", f"blocks {FIVE}", "blocks snl", [], "-0.47 [-1.28, +0.33]"),
        ("ucf101-5-places", "top1", f"blocks {FIVE}", f"blocks {THREE}", [], "+0.59 [+0.07, +1.11]"),
        ("ucf101-5-places", "top1", f"finetune {FIVE}", "finetune bare", [], "+0.00 [-2.01, +2.01]"),
        ("ucf101-5-places", "top1", f"finetune {FIVE}", "finetune snl", [], "-0.71 [-2.22, +0.80]"),
        ("ucf101-5-rates", "top1", "blocks snl gate x1", "probe bare", [], "+3.08 [+2.46, +3.69]"),
        ("ucf101-5-rates", "top1", "blocks snl x10 gate x100", "probe bare", [], "+3.20 [+2.21, +4.18]"),
        ("ucf101-5-rates", "top1", "blocks snl x10 gate x100", "blocks snl gate x1", [], "+0.12 [-1.09, +1.33]"),
        ("ucf101-5-rates", "top1", "finetune snl gate x1", "finetune bare", UCF_PLACES, "+0.59 [-0.31, +1.49]"),
        ("ucf101-5-rates", "top1", "finetune snl x10 gate x100", "finetune bare", UCF_PLACES, "+1.42 [-0.01, +2.85]"),
        ("ucf101-5-rates", "top1", "finetune snl x10 gate x100", "finetune snl", UCF_PLACES, "+0.71 [-0.70, +2.12]"),
        ("ucf101-5-rates", "top1", "finetune snl x10 gate x100", "finetune snl gate x1", [], "+0.83 [-0.94, +2.60]"),
        ("ucf101-5-early-finetuned", "top1", f"finetune{EARLY[6:]}", "finetune bare", [], "+2.49 [-0.52, +5.49]"),
        ("ucf101-5-places", "top1", "finetune snl", "finetune snl gate x1", UCF_RATES, "+0.12 [-0.50, +0.73]"),
        ("ucf101-5-i3d", "top1", "finetune bare", "finetune snl", UCF_FRAMES8, "+1.78 [+0.61, +2.94]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "probe bare", [], "+5.80 [+4.21, +7.39]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "blocks snl", [], "+0.71 [-1.33, +2.75]"),
        ("ucf101-5-frames8x4", "top1", "finetune snl", "finetune bare", [], "+0.95 [-0.49, +2.38]"),
        ("ucf101-5-frames4", "top1", "finetune snl", "finetune bare", [], "+6.15 [+2.50, +9.81]"),
        ("ucf101-5-frames8", "top1", "finetune bare", "finetune bare", APART_4, "-4.38 [-6.90, -1.85]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune bare", APART_4, "+3.67 [+2.08, +5.26]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune snl", APART_4, "+2.72 [+1.20, +4.25]"),
        ("ucf101-5-frames8", "top1", "finetune nl", "finetune bare", [], "+1.54 [-5.52, +8.60]"),
        ("ucf101-5-frames8", "top1", "finetune cheb", "finetune bare", [], "+7.10 [+4.96, +9.24]"),
        ("ucf101-5-frames8", "top1", "finetune a2", "finetune bare", [], "+7.34 [+4.03, +10.65]"),
        ("ucf101-5-frames8", "top1", "finetune gc", "finetune bare", [], "+7.93 [+5.10, +10.76]"),
        ("ucf101-5-frames8", "top1", "finetune se", "finetune bare", [], "+5.56 [+2.88, +8.24]"),
        ("ucf101-5-frames8", "top1", "finetune snl gate x1", "finetune bare", [], "+5.80 [+2.80, +8.80]"),
        ("ucf101-5-frames8", "top1", f"finetune {FAST}", "finetune bare", [], "+7.57 [+5.17, +9.98]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune snl gate x1", [], "+2.25 [+1.04, +3.46]"),
        ("ucf101-5-frames8", "top1", f"finetune {FAST}", "finetune snl gate x1", [], "+1.78 [-0.49, +4.04]"),
        ("ucf101-5-frames8", "top1", f"finetune {FAST}", "finetune snl", [], "-0.47 [-2.64, +1.69]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune se", [], "+2.49 [+1.07, +3.90]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune nl", [], "+6.51 [+0.08, +12.93]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune gc", [], "+0.12 [-2.65, +2.89]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune a2", [], "+0.71 [-0.60, +2.02]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune cheb", [], "+0.95 [-0.74, +2.64]"),
        ("ucf101-5-frames8", "top1", "finetune bare", "probe bare", [], "-2.25 [-4.76, +0.26]"),
        ("ucf101-5-frames8", "top1", "blocks snl", "probe bare", [], "+5.09 [+1.58, +8.60]"),
        ("ucf101-5-frames8", "top1", "finetune snl", "finetune bare", [], "+8.05 [+5.32, +10.78]"),
        ("ucf101-5-places", "top1", "finetune snl@Mixed_5c.end", "finetune bare", [], "-0.36 [-1.34, +0.63]"),
        ("ucf101-5-places", "top1", f"finetune {THREE}", "finetune bare", [], "+0.36 [-1.41, +2.12]"),
        ("ucf101-5-places", "top1", f"finetune {THREE}", "finetune snl@Mixed_5c.end", [], "+0.71 [-0.25, +1.67]"),
        ("ucf101-5-places", "top1", "finetune snl", "finetune snl@Mixed_5c.end", [], "+1.07 [+0.45, +1.68]"),
        ("ucf101-5-places", "top1", "finetune snl", "finetune bare", [], "+0.71 [-0.38, +1.80]"),
        ("ucf101-5-places", "top1", "finetune snl(gate=0.1)", "finetune bare", [], "+0.71 [-1.04, +2.46]"),
        ("ucf101-5-places", "top1", "finetune snl(gate=0.1)", "finetune snl", [], "+0.00 [-0.90, +0.90]"),
        ("ucf101-5-early", "top1", EARLY, "probe bare", UCF_PLACES, "+2.84 [+1.43, +4.25]"),
        ("ucf101-5-early", "top1", EARLY, "blocks snl", UCF_PLACES, "-0.36 [-2.20, +1.49]"),
        ("ucf101-5-early", "top1", EARLY, "blocks snl@Mixed_5c.end", UCF_PLACES, "+2.84 [+0.61, +5.07]"),
        ("ucf101-5-places", "top1", "blocks snl(gate=0.1)", "blocks snl", [], "-0.71 [-1.04, -0.38]"),
        ("ucf101-5-i3d", "top1", "blocks snl", "finetune bare", [], "+1.42 [+0.19, +2.65]"),
        ("mars-mid-osnet", "mAP", f"frames=4 {LATE}", f"frames=4 {RAISED}", [], "+2.19 [+0.94, +3.45]"),
        ("mars-mid-warmup", "mAP", f"{RAISED} block-warmup=0.3", RAISED, [], "-1.99 [-5.70, +1.73]"),
        ("mars-mid-frozen", "mAP", "snl x10 gate x100", "snl", [], "+1.69 [+0.48, +2.90]"),
        ("drawn-walkers", "mAP", "a2@layer2.-1", "bare", [], "+19.46 [+0.74, +38.17]"),
        ("drawn-walkers", "mAP", "se@layer2.-1", "bare", [], "+10.96 [+7.70, +14.22]"),
        ("drawn-films", "top1", "gc@layer2.-1", "bare", [], "+30.00 [-4.00, +64.00]"),
        ("mars-mid-long", "mAP", RAISED, PLAIN, [], "+1.96 [+1.04, +2.89]"),
        ("mars-mid-long", "mAP", EVEN, RAISED, [], "-1.49 [-3.61, +0.64]"),
        ("mars-mid-long", "mAP", EVEN, "bare", [], "+0.10 [-2.64, +2.85]"),
        ("mars-mid-osnet", "mAP", "frames=2 bare", "frames=4 bare", [], "-3.73 [-6.32, -1.14]"),
        ("mars-mid-osnet", "mAP", "frames=8 bare", "frames=4 bare", [], "-1.41 [-2.40, -0.41]"),
        ("mars-mid-imagenet-places", "mAP", "snl@features.17.end x10 gate x100", "bare", [], "+0.05 [-1.09, +1.20]"),
        ("mars-mid-imagenet-frames", "mAP", f"frames=2 {FAST}", "frames=2 bare", [], "+1.42 [+0.17, +2.67]"),
        ("mars-mid-imagenet-frames", "mAP", f"frames=8 {FAST}", "frames=8 bare", [], "+0.10 [-0.67, +0.88]"),
        ("mars-mid-imagenet-frames", "mAP", "frames=4 bare", "frames=2 bare", [], "+3.01 [+1.18, +4.84]"),
        ("mars-mid-imagenet-frames", "mAP", "frames=8 bare", "frames=4 bare", [], "+0.77 [-0.40, +1.93]"),
        ("mars-mid-imagenet-all", "mAP", IMAGENET, "bare", [], "+0.62 [-1.13, +2.37]"),
        ("mars-mid-imagenet-all", "rank1", IMAGENET, "bare", [], "+2.87 [+1.14, +4.60]"),
        ("mars-mid-imagenet-gates", "mAP", "snl(gate=0.1)", "bare", [], "+0.14 [-1.82, +2.09]"),
        ("mars-mid-imagenet-gates", "rank1", "snl x10 gate x10", "bare", [], "-1.53 [-2.89, -0.18]"),
        ("mars-mid-imagenet-all-places", "mAP", f"snl@features.6 {RATES}", "bare", [], "-0.19 [-4.28, +3.90]"),
        ("mars-mid-imagenet-all-places", "mAP", f"snl@features.17.end {RATES}", "bare", [], "-0.46 [-4.55, +3.62]"),
        ("ucf101-5-twins", "top1", f"recipe=probe {TWINS}", "recipe=probe bare", [], "+28.28 [+25.02, +31.55]"),
        ("ucf101-5-twins", "top1", f"recipe=small {TWINS}", "recipe=small bare", [], "+2.96 [+1.58, +4.33]"),
        ("ucf101-5-twins", "top1", f"recipe=probe {TWINS}", "recipe=small bare", [], "+2.37 [-0.57, +5.31]"),
        ("ucf101-5-twins", "top1", f"recipe=small {TWINS}", f"recipe=probe {TWINS}", [], "+0.59 [-1.90, +3.08]"),
        ("mars-mid-twins", "mAP", TWINS, "bare", [], "+5.93 [+3.99, +7.87]"),
        ("mars-mid-twins-frozen", "mAP", TWINS, "bare", [], "+3.52 [+2.16, +4.89]"),
        ("mars-mid-twins-frozen", "mAP", TWINS, TWINS, FROM_TWINS, "-0.63 [-2.06, +0.80]"),
        ("mars-mid-twins-frozen", "mAP", "bare", "bare", FROM_TWINS, "+2.52 [+0.37, +4.68]"),
        ("mars-mid-twins-frozen", "rank1", TWINS, "bare", [], "+7.37 [+4.15, +10.58]"),
        ("first-clips", "top1", "snl", "bare", [], "+1.58 [-4.00, +7.16]"),
        ("first-identities", "rank1", "nl", "bare", [], "-1.91 [-8.21, +4.38]"),
        ("first-identities", "rank1", "snl", "bare", [], "-4.30 [-10.93, +2.32]"),
        ("first-identities", "rank1", "40 epochs jitter", "bare", [], "-5.10 [-11.08, +0.88]"),
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


@pytest.mark.parametrize(
    ("file", "page", "metric", "row", "other", "says"),
    [
        ("walkers-places", "reid", "mAP", "snl@layer1.end", "bare", "+11.91 [+6.05, +17.77]"),
        ("walkers-places", "reid", "mAP", "snl@layer2.-1", "bare", "+9.78 [+4.97, +14.58]"),
        ("walkers-places", "reid", "mAP", "snl@layer2.end", "bare", "+5.42 [+3.76, +7.07]"),
        ("walkers-places", "reid", "mAP", DRAWN_THREE, "bare", "+20.16 [-2.06, +42.38]"),
        ("walkers-places", "reid", "mAP", DRAWN_THREE, "snl@layer2.-1", "+10.39 [-10.01, +30.78]"),
        ("walkers-places", "reid", "mAP", "snl(gate=1)@layer2.-1", "bare", "+11.81 [+8.90, +14.71]"),
        ("walkers-places", "reid", "mAP", "snl@layer1.end", "snl@layer2.end", "+6.50 [+1.66, +11.34]"),
        ("walkers-places", "reid", "mAP", "snl@layer1.end", "snl@layer2.-1", "+2.14 [-4.04, +8.31]"),
        ("walkers-places", "reid", "mAP", "snl@layer2.end", "snl@layer2.-1", "-4.36 [-9.80, +1.08]"),
        ("walkers-places", "reid", "mAP", "snl(gate=1)@layer2.-1", "snl@layer2.-1", "+2.03 [-2.02, +6.08]"),
        ("films-frames", "synthetic", "top1", FEW_FRAMES, "bare frames=4 stride=4", "+30.00 [-4.00, +64.00]"),
        ("films-frames", "synthetic", "top1", "snl@layer2.-1", FEW_FRAMES, "+20.00 [-14.00, +54.00]"),
        ("walkers-frames", "reid", "mAP", "snl@layer2.-1 frames=4", "bare frames=4", "+4.00 [-3.62, +11.63]"),
        ("walkers-frames", "reid", "mAP", "snl@layer2.-1 frames=2", "bare frames=2", "+0.11 [-1.61, +1.83]"),
        ("walkers-frames", "reid", "mAP", "snl@layer2.-1", "snl@layer2.-1 frames=4", "+6.77 [+0.81, +12.73]"),
        ("walkers-frames", "reid", "mAP", "snl@layer2.-1", "snl@layer2.-1 frames=2", "+11.08 [+6.78, +15.38]"),
        ("walkers-places", "reid", "mAP", DRAWN_FIVE, "bare", "+24.44 [-3.43, +52.31]"),
        ("walkers-places", "reid", "mAP", DRAWN_FIVE, "snl@layer2.-1", "+14.66 [-11.54, +40.86]"),
        ("walkers-places", "reid", "mAP", "snl(gate=0.1)@layer2.-1", "bare", "+10.75 [+8.43, +13.07]"),
        ("walkers-places", "reid", "mAP", "snl(gate=0.1)@layer2.-1", "snl@layer2.-1", "+0.97 [-4.29, +6.24]"),
        ("walkers-rates", "reid", "mAP", DRAWN_RAISED, "bare", "+9.19 [+5.31, +13.08]"),
        ("walkers-rates", "reid", "mAP", DRAWN_RAISED, "snl@layer2.-1", "-0.58 [-7.08, +5.91]"),
        ("films-rates", "synthetic", "top1", DRAWN_RAISED, "bare", "+30.00 [-4.00, +64.00]"),
        ("films-rates", "synthetic", "top1", DRAWN_RAISED, "snl@layer2.-1", "-20.00 [-54.00, +14.00]"),
    ],
)
def test_pages_of_drawn_sets_say_what_the_rows_say(
    file: str, page: str, metric: str, row: str, other: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(DOCS / f"results-drawn-{file}.csv"), metric, row, other]) == 0
    assert f": {says}, " in capsys.readouterr().out
    assert says in (DOCS / f"{page}.md").read_text(encoding="utf-8")


def test_what_is_no_text_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"arm,seed,top1\nb\xe4re,0,0.5\n")
    assert main([str(file), "top1", "snl", "bare"]) == 2
    assert "line 2 is not UTF-8" in capsys.readouterr().err


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relation = str(DOCS / "results-relation.csv")
    for words, why in (
        ([relation, "top1", "a3", "snl"], "row 'a3' is unknown. Did you mean 'a2'"),
        ([relation, "mAP", "a2", "snl"], "figure 'mAP' is unknown"),
        ([relation, "top1", "a2", "snl", "--seeds", "0", "99"], "row 'a2' has no seed 99; it has 0 1 2"),
        ([str(tmp_path / "none.csv"), "top1", "a2", "snl"], "none.csv' is not there: give the CSV of a study"),
        ([str(DOCS.parent / "pyproject.toml"), "top1", "a2", "snl"], "is no CSV of a study or an ablation"),
    ):
        assert main(words) == 2
        assert why in capsys.readouterr().err


def test_decimal_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("arm;seed;top1\nbare;0;0,5\nsnl@conv3.-1;0;0,65\n")
    assert main([str(file), "top1", "snl@conv3.-1", "bare"]) == 0
    assert "+15.00" in capsys.readouterr().out
    assert main([str(file), "top1", "snl", "bare"]) == 2
    assert "Did you mean 'snl@conv3.-1'?" in capsys.readouterr().err


def test_part_of_a_name_is_asked_for_and_a_dash_is_the_bare_network(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of long names were too far from what had been typed to be guessed."""
    file = str(DOCS / "results-mars-mid-osnet.csv")
    assert main([file, "mAP", "snl@conv3.-1", "bare"]) == 2
    error = capsys.readouterr().err
    assert f"row 'snl@conv3.-1' is unknown. Did you mean 'frames=2 {RAISED}' or 'frames=4 {RAISED}'" in error
    assert main([file, "mAP", f"frames=4 {RAISED}", "frames=4 -"]) == 0
    assert f"mAP: frames=4 {RAISED} minus frames=4 -: " in capsys.readouterr().out
    assert main([str(DOCS / "results-mars-mid-long.csv"), "mAP", RAISED, "-"]) == 0


RECIPES = """run,blocks,recipe,settings,seed,mAP
bare-osnet-seed0,,osnet,,0,0.5
bare-mobile-seed0,,mobile,,0,0.6
snl-osnet-seed0,snl,osnet,,0,0.7
"""


def test_rows_of_two_recipes_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bare network of the last recipe took the place of the others', which have equal blocks, settings and seed."""
    path = tmp_path / "rows.csv"
    path.write_text(RECIPES)
    assert main([str(path), "mAP", "recipe=osnet snl", "recipe=osnet bare"]) == 0
    assert "recipe=osnet snl minus recipe=osnet bare: +20.00, " in capsys.readouterr().out
    assert main([str(path), "mAP", "snl", "bare"]) == 2
    assert (
        "row 'snl' is unknown. Did you mean 'recipe=osnet snl'? Choose from: recipe=mobile bare, recipe=osnet "
        in capsys.readouterr().err
    )
    path.write_text(RECIPES.replace("mobile", ""))
    assert main([str(path), "mAP", "recipe=osnet bare", "bare"]) == 0
    assert "-10.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (RECIPES.replace("mobile", "osnet"), "lines 2 and 3 are both of 'bare', seed 0. Remove one of them"),
        ("arm,seed,mAP\nsnl,0,0.5\nsnl,1,0.5\nbare,0,0.4\nsnl,0,0.7\n", "lines 2 and 5 are both of 'snl', seed 0"),
        ("arm,seed,mAP\nbare,0,0.5\nsnl,0\n", "line 3: 'snl,0' has 2 of 3 columns: it was cut off"),
        ("arm,seed,mAP\nbare,0,0.5\nsnl,0,0.5,1\n", "line 3: 'snl,0,0.5,1' has 4 of 3 columns"),
        ("arm,seed,mAP\nbare,0,0.5\nsnl,0,0.", "its last line, 'snl,0,0.', has no end"),
        ("arm,seed,mAP\nbare,0,0.5\nsnl,0,\n", "snl, seed 0: mAP is empty, and must be a finite number"),
        ("arm,seed,mAP\nbare,0,0.5\nsnl,0,nan\n", "snl, seed 0: mAP is nan, and must be a finite number"),
        ("arm,seed,mAP\n", "has no rows yet, only its columns"),
        ("", "is no CSV of a study or an ablation"),
        ('arm,seed,mAP\nbare,0,0.5\n"snl,0,0.6\n', "line 3: this is no CSV (unexpected end of data)"),
    ],
)
def test_a_table_that_is_not_whole_is_a_sentence(
    content: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    assert main([str(path), "mAP", "snl", "bare"]) == 2
    error = capsys.readouterr().err
    assert why in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ","), ("utf-8", ";"), ("utf-16", "\t")])
def test_a_table_that_a_spreadsheet_wrote(encoding: str, delimiter: str, tmp_path: Path, capsys) -> None:
    file = tmp_path / "rows.csv"
    rows = ["arm,seed,top1", "bare,0,0.5", "bare,1,0.6", "snl,0,0.6", "snl,1,0.8"]
    file.write_text("".join(f"{row.replace(',', delimiter)}\r\n" for row in rows), encoding=encoding)
    assert main([str(file), "top1", "snl", "bare"]) == 0
    assert "top1: snl minus bare: +15.00" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["gate", "seed", "share", "parameters", "seconds"])
def test_columns_that_are_no_shares_of_a_test_have_no_points(column: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DOCS / "results-relation.csv"), column, "snl", "nl"]) == 2
    assert f"column '{column}', " in (error := capsys.readouterr().err)
    assert "is no figure of a test, which is a share of 1. Give one that is" in error


def test_seeds_of_one_row_alone_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("arm,seed,mAP\nbare,0,0.5\nbare,1,0.5\nbare,7,0.9\nsnl,0,0.6\nsnl,1,0.8\nsnl,2,0.8\nsnl,3,0.8\n")
    assert main([str(path), "mAP", "snl", "bare"]) == 0
    said = capsys.readouterr().out
    assert "+20.00" in said
    assert said.endswith(", 2 seeds (left out: 'snl' alone has seeds 2 3, 'bare' alone has seed 7)\n")
    assert main([str(path), "mAP", "snl", "bare", "--seeds", "0", "1"]) == 0
    assert capsys.readouterr().out.endswith(", 2 seeds\n")
