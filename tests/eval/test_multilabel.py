"""Average precision against scikit-learn's, thresholds against a search, and clips without a prediction."""

import math

import numpy as np
import pytest

from specvid.eval.multilabel import average_precision, best_thresholds, score_multilabel

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def random_scores(seed, clips=60, classes=7, levels=None):
    """Probabilities (with ties where there are few levels) and the classes of each clip."""
    rng = np.random.default_rng(seed)
    probabilities = rng.random((clips, classes))
    if levels:
        probabilities = np.round(probabilities * levels) / levels
    return probabilities, [np.flatnonzero(rng.random(classes) < 0.3).tolist() for _ in range(clips)]


def matrix(labels, classes):
    return np.array([[label in own for label in range(classes)] for own in labels])


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed, levels):
    probabilities, labels = random_scores(seed, levels=levels)
    truth = matrix(labels, 7)
    score = score_multilabel(probabilities, labels, np.full(7, 0.4))
    for label in range(7):
        expected = sklearn_metrics.average_precision_score(truth[:, label], probabilities[:, label])
        assert score.per_class[label] == pytest.approx(expected, abs=1e-12)
    expected = sklearn_metrics.average_precision_score(truth, probabilities, average="macro")
    assert score.mean_ap == pytest.approx(expected, abs=1e-12)
    decided = probabilities >= 0.4
    assert score.f1 == pytest.approx(sklearn_metrics.f1_score(truth, decided, average="micro"))
    assert score.mean_f1 == pytest.approx(sklearn_metrics.f1_score(truth, decided, average="macro"))


def test_a_clip_without_a_prediction_is_last():
    probabilities = np.array([[0.9], [np.nan], [0.2]])
    score = score_multilabel(probabilities, [[0], [0], []])
    assert score.missing == 1 and score.clips == 3
    assert score.mean_ap == pytest.approx((1 / 2) * 1 + (1 / 2) * (2 / 3))
    assert score.decided.tolist() == [[True], [False], [False]]


def test_a_class_without_clips():
    score = score_multilabel(np.array([[0.9, 0.1], [0.2, 0.8]]), [[0], []])
    assert math.isnan(score.per_class[1]) and score.mean_ap == 1.0
    assert math.isnan(average_precision(np.array([1.0]), np.array([False])))


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_are_the_best(seed):
    probabilities, labels = random_scores(seed, levels=8)
    truth = matrix(labels, 7)
    chosen = best_thresholds(probabilities, labels)
    for label in range(7):
        tried = [
            sklearn_metrics.f1_score(truth[:, label], probabilities[:, label] >= value)
            for value in np.linspace(0, 1, 1001)
        ]
        own = sklearn_metrics.f1_score(truth[:, label], probabilities[:, label] >= chosen[label])
        assert own == pytest.approx(max(tried))
    assert best_thresholds(np.array([[0.3, 0.7]]), [[0]])[1] == 0.5


@pytest.mark.parametrize(
    ("probabilities", "labels", "thresholds", "message"),
    [
        (np.zeros(3), [[0]] * 3, None, "must be"),
        (np.zeros((3, 2)), [[0]] * 2, None, "labels of 2 clips"),
        (np.zeros((1, 2)), [[2]], None, "label 2 of clip 0: expected 0 to 1"),
        (np.zeros((1, 2)), [[1]], [0.5], "thresholds of shape"),
    ],
)
def test_what_does_not_fit(probabilities, labels, thresholds, message):
    with pytest.raises(ValueError, match=message):
        score_multilabel(probabilities, labels, thresholds)
