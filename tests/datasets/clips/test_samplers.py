"""Orders of samples: whole, disjoint, repeatable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specvid.datasets.clips.samplers import EpochSampler, ShardSampler

SIZES = {"length": st.integers(1, 80), "world": st.integers(1, 7)}


@given(**SIZES, shuffle=st.booleans(), epoch=st.integers(0, 5))
def test_ranks_share_an_epoch(length, world, shuffle, epoch):
    ranks = [EpochSampler(length, shuffle=shuffle, seed=3, rank=rank, world=world) for rank in range(world)]
    for sampler in ranks:
        sampler.set_epoch(epoch)
    dealt = [list(sampler) for sampler in ranks]
    assert {e for pairs in dealt for e, _ in pairs} == {epoch}
    assert [len(pairs) for pairs in dealt] == [len(sampler) for sampler in ranks] == [-(-length // world)] * world
    together = [dealt[k % world][k // world][1] for k in range(world * len(dealt[0]))]  # in the order of the epoch
    order = np.arange(length)
    if shuffle:
        np.random.default_rng([3, epoch]).shuffle(order)
    assert together[:length] == order.tolist()
    assert together[length:] == (order.tolist() * world)[: len(together) - length]  # the first ones again


@given(**SIZES, epoch=st.integers(0, 5))
def test_drop_last(length, world, epoch):
    if length < world:
        with pytest.raises(ValueError, match="drop_last leaves nothing"):
            EpochSampler(length, world=world, drop_last=True)
        return
    ranks = [EpochSampler(length, seed=1, rank=rank, world=world, drop_last=True) for rank in range(world)]
    for sampler in ranks:
        sampler.set_epoch(epoch)
    seen = [i for sampler in ranks for _, i in sampler]
    assert len(seen) == len(set(seen)) == length // world * world


def test_epochs_and_seeds_differ_and_repeat():
    def order(seed, epoch):
        sampler = EpochSampler(50, seed=seed)
        sampler.set_epoch(epoch)
        return [i for _, i in sampler]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert sorted(order(5, 7)) == list(range(50))


@pytest.mark.parametrize("world", [2, 4])
def test_each_process_has_another_order_in_each_epoch(world):
    ranks = [EpochSampler(61, rank=rank, world=world, drop_last=True) for rank in range(world)]
    orders, left_out = set(), set()
    for epoch in range(40):
        for sampler in ranks:
            sampler.set_epoch(epoch)
        dealt = [tuple(i for _, i in sampler) for sampler in ranks]
        orders |= set(dealt)
        left_out |= set(range(61)) - {i for own in dealt for i in own}
    assert len(orders) == 40 * world and len(left_out) > 20  # nobody is left out for ever


@given(**SIZES)
def test_shards_hold_every_sample_once(length, world):
    shards = [list(ShardSampler(length, rank=rank, world=world)) for rank in range(world)]
    assert sorted(i for shard in shards for i in shard) == list(range(length))
    assert [len(shard) for shard in shards] == [len(ShardSampler(length, rank=r, world=world)) for r in range(world)]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("kind", [EpochSampler, ShardSampler])
@pytest.mark.parametrize(("length", "rank", "world"), [(0, 0, 1), (5, 2, 2), (5, -1, 2), (5, 0, 0)])
def test_wrong_sizes(kind, length, rank, world):
    with pytest.raises(ValueError, match=r"length = 0|rank ="):
        kind(length, rank=rank, world=world)
