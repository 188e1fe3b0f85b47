"""Batches that make whole steps, resumable at any step."""

import pytest
from toy_task import LENGTH, Points

from specvid.datasets.clips.samplers import EpochSampler
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.feed import TrainFeed


def feed(*, batch_size: int = 6, accumulate: int = 1, rank: int = 0, world: int = 1, workers: int = 0) -> TrainFeed:
    config = EngineConfig(batch_size=batch_size, accumulate=accumulate, workers=workers)
    sampler = EpochSampler(LENGTH, seed=0, rank=rank, world=world, drop_last=True)
    return TrainFeed(Points(), sampler, config=config, world=world)


def indices(feed_: TrainFeed, epoch: int, first_step: int = 0) -> list[list[int]]:
    return [batch["index"].tolist() for batch in feed_.epoch(epoch, first_step)]


def test_it_goes_on_at_any_step() -> None:
    for accumulate in (1, 3):
        whole = indices(feed(accumulate=accumulate), 4)
        for step in range(5):
            assert indices(feed(accumulate=accumulate), 4, step) == whole[step * accumulate :]


def test_processes_and_parts_share_the_batch() -> None:
    whole = indices(feed(batch_size=8), 0)
    parts = [indices(feed(batch_size=8, accumulate=2, rank=rank, world=2), 0) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        shares = [index for part in parts for share in part[2 * step : 2 * step + 2] for index in share]
        assert sorted(shares) == sorted(batch)


def test_what_does_not_fill_a_step_is_left_out() -> None:
    short = feed(batch_size=10)
    assert short.steps == 2
    assert sum(map(len, indices(short, 0))) == 20


def test_workers_change_nothing() -> None:
    assert [indices(feed(workers=2), epoch) for epoch in (0, 1)] == [indices(feed(), epoch) for epoch in (0, 1)]


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"batch_size 6 must be a multiple of processes x accumulate = 4 x 1. Use --batch-size 8"
    ):
        feed(batch_size=6, world=4)
    with pytest.raises(ValueError, match="batch_size 25 is more than the 24 training clips"):
        feed(batch_size=25)
