"""Scores against a slow count, clip by clip, with ties, missing clips and classes without clips."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specvid.eval.classification import average_views, draw_title, save_confusion, score_classification
from specvid.eval.multilabel import save_average_precisions


def slow_rank(row: list[float], label: int) -> int | None:
    """Place of ``label`` when classes are called out from the most probable on, lower numbers first among equals."""
    if not all(math.isfinite(value) for value in row):
        return None
    called = sorted(range(len(row)), key=lambda name: (-row[name], name))
    return called.index(label)


@st.composite
def scored_lists(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    clips, classes = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    value = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])  # few values: many ties
    rows = [draw(st.lists(value, min_size=classes, max_size=classes)) for _ in range(clips)]
    probabilities = np.array(rows, dtype=np.float64)
    for clip in draw(st.lists(st.integers(0, clips - 1), max_size=3)):
        probabilities[clip] = np.nan
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips))
    return probabilities, np.array(labels)


@settings(max_examples=150, deadline=None)
@given(scored_lists())
def test_scores_equal_a_slow_count(case: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = case
    clips, classes = probabilities.shape
    ranks = [slow_rank(row.tolist(), label) for row, label in zip(probabilities, labels, strict=True)]
    score = score_classification(probabilities, labels)

    assert score.clips == clips
    assert score.missing == sum(rank is None for rank in ranks)
    assert score.top1 == pytest.approx(sum(rank == 0 for rank in ranks) / clips)
    assert score.top5 == pytest.approx(sum(rank is not None and rank < 5 for rank in ranks) / clips)
    shares = []
    for name in range(classes):
        own = [rank for rank, label in zip(ranks, labels, strict=True) if label == name]
        if own:
            shares.append(sum(rank == 0 for rank in own) / len(own))
            assert score.per_class[name] == pytest.approx(shares[-1])
        else:
            assert math.isnan(score.per_class[name])
    assert score.mean_class == pytest.approx(sum(shares) / len(shares))
    assert score.confusion.sum() == clips
    assert score.confusion[:, classes].sum() == score.missing
    assert np.trace(score.confusion) == sum(rank == 0 for rank in ranks)
    for label, predicted in zip(labels, score.predicted, strict=True):
        assert score.confusion[label, predicted] > 0  # -1 is the last column: those without a prediction


def test_a_missing_clip_is_wrong_and_not_left_out() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]])
    score = score_classification(probabilities, [0, 1, 0])
    assert (score.top1, score.missing, score.clips) == (pytest.approx(2 / 3), 1, 3)
    assert score.predicted.tolist() == [0, 1, -1]


def test_views_are_averaged_after_the_softmax() -> None:
    logits = np.array([[4.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    slow = np.zeros(3)
    for view in logits:
        slow += np.array([math.exp(value) for value in view]) / sum(math.exp(value) for value in view) / 2
    np.testing.assert_allclose(average_views(logits), slow, rtol=1e-12)
    assert average_views(logits.mean(0, keepdims=True)) != pytest.approx(slow)  # the mean of logits is something else
    np.testing.assert_allclose(average_views(np.array([[1e4, 0.0]])), [1.0, 0.0])  # no overflow
    np.testing.assert_allclose(average_views(np.stack([logits, logits[::-1]])), [slow, slow])


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((2, 3)), [0], "one per clip"),
        (np.zeros((2, 3)), [0, 3], "expected 0 to 2"),
        (np.zeros((2, 3)), [0.0, 1.0], "integers"),
        (np.zeros((0, 3)), [], "neither of them 0"),
        (np.zeros(3), [0], "must be"),
    ],
)
def test_wrong_shapes_are_named(probabilities: np.ndarray, labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_classification(probabilities, labels)
    with pytest.raises(ValueError, match="at least one view"):
        average_views(np.zeros((0, 3)))


def test_the_confusion_picture_is_drawn(tmp_path) -> None:
    score = score_classification(np.array([[0.9, 0.1], [np.nan, np.nan], [0.6, 0.4]]), [0, 1, 1])
    save_confusion(score.confusion, ["A", "B"], tmp_path / "small.png", title="three clips")
    save_confusion(np.eye(101, 102, dtype=int), [f"Class{i}" for i in range(101)], tmp_path / "large.png")
    for name in ("small.png", "large.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="must be 3 x 4"):
        save_confusion(score.confusion, ["A", "B", "C"], tmp_path / "wrong.png")


@pytest.mark.parametrize("name", [r"a$\bad{$", "a\0b\n", "\ud83d", "<script>", "z" * 300, ""])
def test_classes_may_be_called_anything(tmp_path, name: str) -> None:
    """Two dollars make a formula in matplotlib, which may be none."""
    save_confusion(np.eye(2, 3), [name, "b"], tmp_path / "a.png", title=name)
    save_average_precisions(np.array([0.5, 1.0]), [name, "b"], tmp_path / "b.png", title=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_long_title_stands_over_the_figure_in_lines() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    figure.add_subplot()
    draw_title(figure, "top-1 100.00 % (clips, split 1, 10 clips x 3 crops, 4 of 4 clips scored, 0 unreadable)")
    FigureCanvasAgg(figure).draw()
    box = figure.texts[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and "\n" in figure.texts[0].get_text()
