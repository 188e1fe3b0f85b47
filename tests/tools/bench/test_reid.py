"""The re-ID benchmark measures what it says."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from specvid.tools.bench import reid as tool
from specvid.tools.bench.reid import (
    DENSE,
    OURS,
    TORCHREID,
    _rerank_table,
    bench_gallery,
    bench_rerank,
    bench_scoring,
    rank_in_python,
    synthetic_features,
)


def test_the_python_ranking_gives_the_same_figures():
    data = synthetic_features(40, 300, 16, identities=20, noise=1.5)
    score = data.score("cross-camera")
    mean_ap, rank1 = rank_in_python(data)
    assert 0.1 < mean_ap < 0.99
    assert score.mAP == pytest.approx(mean_ap, abs=1e-9)
    assert score.rank(1) == pytest.approx(rank1, abs=1e-9)


def test_synthetic_features_are_of_unit_length_and_noise_is_chance():
    data = synthetic_features(40, 300, 16, identities=20, noise=np.inf)
    np.testing.assert_allclose(np.linalg.norm(data.gallery, axis=1), 1, atol=1e-5)
    assert data.score("cross-camera").mAP < 0.2


def test_scoring_row():
    row = bench_scoring(50, 400, 32, repeat=1)
    assert row.score_to_product == pytest.approx(row.score / row.product)
    assert row.python_to_score == pytest.approx(row.python / row.score)
    assert row.mAP == pytest.approx(row.python_mAP, abs=1e-9)


@pytest.mark.slow
def test_speed_at_the_size_of_mars():
    row = bench_scoring()
    assert row.score_to_product < 2
    assert row.python_to_score > 20


def test_no_full_matrix_stands():
    # 1,000 x 200,000 similarities would take 0.75 GiB; a block of them is allowed 128 MiB, a few times over.
    row = bench_gallery(1000, 200_000, 16)
    assert row.above_features_gib < 0.5


def test_ours_is_measured_beside_the_published_form_and_torchreids(tmp_path: Path, monkeypatch) -> None:
    """torchreid's function is read from where it is installed, without the rest of the package."""
    names = [OURS, DENSE]
    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    cost = bench_rerank(40, 400, 32)
    assert list(cost.seconds) == list(cost.gib) == names and cost.difference < 1e-5
    file = tmp_path / "torchreid/reid/utils/rerank.py"
    file.parent.mkdir(parents=True)
    (tmp_path / "torchreid/__init__.py").write_text("raise ImportError('gdown')\n")
    file.write_text("def re_ranking(q_g, q_q, g_g):\n    return q_g * 0 + 7\n")
    place = SimpleNamespace(submodule_search_locations=[str(tmp_path / "torchreid")])
    monkeypatch.setattr(tool, "find_spec", lambda name: place)
    cost = bench_rerank(40, 400, 32)
    assert list(cost.seconds) == [*names, TORCHREID] and cost.difference > 5
    assert TORCHREID in _rerank_table(cost)
