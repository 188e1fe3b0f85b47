"""P x K batches."""

import numpy as np
import pytest

from specvid.datasets.clips.samplers import IdentitySampler

# 7 identities with 1 to 7 tracklets, cameras in turn.
LABELS = np.repeat(np.arange(7) + 40, np.arange(1, 8))
CAMERAS = [f"c{i % 3}" for i in range(len(LABELS))]


def batches(identities=3, tracklets=4, epoch=0, **options):
    sampler = IdentitySampler(LABELS, CAMERAS, identities=identities, tracklets=tracklets, **options)
    sampler.set_epoch(epoch)
    pairs = list(sampler)
    assert len(pairs) == len(sampler)
    assert all(pair[0] == epoch for pair in pairs)
    indices = np.array([i for _, i in pairs])
    return indices.reshape(-1, identities // options.get("world", 1), tracklets)


def test_each_batch_has_p_identities_with_k_tracklets():
    for epoch in range(20):
        drawn = batches(epoch=epoch)
        assert drawn.shape == (2, 3, 4)  # 7 identities: one is left out
        identities = LABELS[drawn]
        assert (identities == identities[:, :, :1]).all()
        assert len(set(identities[:, :, 0].reshape(-1))) == 6
        for own in drawn.reshape(-1, 4):
            available = (LABELS[own[0]] == LABELS).sum()
            assert len(set(own)) == min(4, available)
            cameras = [CAMERAS[i] for i in own[: min(3, available)]]
            assert len(set(cameras)) == len(cameras)  # different cameras first


def test_everybody_and_everything_comes_at_some_time():
    drawn = np.concatenate([batches(epoch=epoch).reshape(-1) for epoch in range(40)])
    assert set(drawn) == set(range(len(LABELS)))
    shares = np.bincount(LABELS[drawn] - 40)
    assert shares.min() > 0.8 * shares.max()  # balanced over identities, whatever the number of their tracklets


def test_an_epoch_is_a_function_of_the_seed():
    assert np.array_equal(batches(epoch=3), batches(epoch=3))
    assert not np.array_equal(batches(epoch=3), batches(epoch=4))
    assert not np.array_equal(batches(epoch=3), batches(epoch=3, seed=1))


def test_processes_share_the_batches():
    whole = batches(identities=6, epoch=2)
    shares = [batches(identities=6, epoch=2, rank=rank, world=3) for rank in range(3)]
    assert np.array_equal(np.concatenate(shares, axis=1), whole)


@pytest.mark.parametrize("world", [2, 4])
def test_every_identity_has_its_quota_over_the_processes_and_each_epoch_another_order(world: int) -> None:
    labels, cameras = np.tile(np.arange(19), 3), np.repeat([0, 1, 2], 19)
    orders, left_out = set(), []
    for epoch in range(20):
        options = {"identities": 8, "tracklets": 3, "repeats": 2, "world": world}
        ranks = [IdentitySampler(labels, cameras, rank=rank, **options) for rank in range(world)]
        for sampler in ranks:
            sampler.set_epoch(epoch)
        drawn = [[i for _, i in sampler] for sampler in ranks]
        orders |= {(rank, *order) for rank, order in enumerate(drawn)}
        for walk in range(2):  # 8 x 2 of 19 identities come in each, all with all of their tracklets
            half = [order[walk * len(order) // 2 : (walk + 1) * len(order) // 2] for order in drawn]
            counts = np.bincount(labels[np.concatenate(half)], minlength=19)
            assert sorted(counts) == [0] * 3 + [3] * 16
            left_out.append(frozenset(np.flatnonzero(counts == 0)))
    assert len(orders) == 20 * world  # each process has another order in each epoch
    assert len(set(left_out)) > 30 and frozenset.union(*left_out) == set(range(19))


def test_repeats_make_a_longer_epoch():
    drawn = batches(repeats=5)
    assert drawn.shape == (10, 3, 4)
    assert not np.array_equal(drawn[:2], drawn[2:4])


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"identities": 8}, "there are only 7"),
        ({"identities": 0}, "identities = 0"),
        ({"tracklets": 0}, "tracklets = 0"),
        ({"identities": 3, "world": 2}, "e.g. 4"),
        ({"identities": 2, "world": 2}, "e.g. 4"),
        ({"rank": 1}, "rank = 1 of world = 1"),
    ],
)
def test_what_cannot_be_is_named(options, cause):
    with pytest.raises(ValueError, match=cause):
        IdentitySampler(LABELS, CAMERAS, **{"identities": 3, "tracklets": 2, **options})


def test_labels_and_cameras_must_fit():
    with pytest.raises(ValueError, match="28 labels and 2 cameras"):
        IdentitySampler(LABELS, [1, 2], identities=2, tracklets=2)
