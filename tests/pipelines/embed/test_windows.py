"""Windows and clips of a video, and reading them in one pass in bounded memory."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from synthetic_videos import read_numbers, write_numbered

from specvid.datasets.clips.sampling import test_clips as even_clips
from specvid.datasets.clips.sampling import uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import Timing, open_video
from specvid.pipelines.embed import WindowConfig
from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.windows import WindowPlanner


def windows(frames: int = 8, stride: int = 2, sampling: str = "dense", **config) -> WindowPlanner:
    return WindowPlanner(WindowConfig(**config), ClipSpec(frames, stride, (64, 96), (64, 96), sampling=sampling))


@pytest.mark.parametrize("length", [1, 5, 15, 16, 17, 40, 100])
def test_the_whole_video_is_covered_by_the_fewest_clips(length: int) -> None:
    plan = windows().plan(length, Timing(25))
    assert (plan.first.tolist(), plan.last.tolist()) == ([0], [length - 1])
    assert len(plan.clips) == -(-length // 16) and not plan.window.any()
    reached = plan.clips.max() - plan.clips.min() + 1
    assert length - reached <= 1  # every other frame, from the first to the last but one


@pytest.mark.parametrize("per_window", ["window", "video"])
def test_sliding_windows_leave_no_frame_out(per_window: str) -> None:
    plan = windows(window="sliding", length="2s", every="1s", rows=per_window).plan(130, Timing(25))
    if per_window == "video":
        assert plan.first.tolist() == [0] and plan.last.tolist() == [129] and set(plan.window) == {0}
    else:
        assert plan.first.tolist() == [0, 25, 50, 75, 80] and (plan.last - plan.first == 49).all()
        for number, first in enumerate(plan.first):
            own = plan.clips[plan.window == number]
            assert np.array_equal(own, first + even_clips(50, 8, 2, 4))


def test_a_window_shorter_than_a_clip_is_looped_and_never_left() -> None:
    plan = windows(window="sliding", length="5", every="5").plan(12, Timing(25))
    assert plan.first.tolist() == [0, 5, 7] and plan.last.tolist() == [4, 9, 11]
    for number in range(3):
        own = plan.clips[plan.window == number]
        assert own.min() == plan.first[number] and own.max() == plan.last[number]


def test_uniform_clips_are_spread_and_a_short_video_has_fewer() -> None:
    plan = windows(window="uniform", clips=3).plan(100, Timing(25))
    assert np.array_equal(plan.clips, even_clips(100, 8, 2, 3)) and plan.last.tolist() == [99]
    rows = windows(window="uniform", clips=3, rows="window").plan(100, Timing(25))
    assert rows.first.tolist() == plan.clips[:, 0].tolist() and rows.window.tolist() == [0, 1, 2]
    assert len(windows(window="uniform", clips=3).plan(7, Timing(25)).clips) == 1


def test_segments_take_one_frame_of_each_part() -> None:
    assert np.array_equal(
        windows(sampling="segments").plan(100, Timing(25)).clips, uniform_segments(100, 8, None)[None]
    )
    two = windows(sampling="segments", window="uniform", clips=2).plan(100, Timing(25)).clips
    assert np.array_equal(two, np.stack([uniform_segments(50, 8, None), 50 + uniform_segments(50, 8, None)]))


def test_seconds_need_a_frame_rate_and_spans_must_be_spans() -> None:
    with pytest.raises(ValueError, match="no frame rate"):
        windows(window="sliding", length="2s").plan(100, Timing(0.0))
    for text in ("2 m", "-1s", "0", "1.5", "s"):
        with pytest.raises(ValueError, match="must be seconds"):
            WindowConfig(window="sliding", length=text)
    with pytest.raises(ValueError, match="belongs to --window sliding"):
        WindowConfig(length="2s")


@pytest.mark.parametrize("kind", ["plain.avi", "b_frames.avi", "closed.mp4", "stream.ts"])
@pytest.mark.parametrize("config", [{}, {"window": "sliding", "length": "20", "every": "3"}])
def test_reading_in_one_pass_gives_the_frames_of_the_plan(tmp_path, monkeypatch, kind: str, config: dict) -> None:
    """Small chunks and blocks, so that clips share frames over many of them."""
    from specvid.datasets.decode import base
    from specvid.pipelines.embed import reading

    monkeypatch.setattr(reading, "_CHUNK_BYTES", 2 * 8 * 64 * 96 * 3)
    monkeypatch.setattr(base, "_BLOCK_BYTES", 7 * 64 * 96 * 3)
    path = write_numbered(tmp_path, kind, 90)
    reader = Reader(windows(**config))
    chunks = list(reader.chunks(Source("x", str(path))))
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True] and len(chunks) > 2
    assert max(len(chunk.clips) for chunk in chunks) == 2
    clips = np.concatenate([chunk.clips.numpy() for chunk in chunks])
    with open_video(path) as video:
        plan = reader.planner.plan(len(video), video.timing)
    assert [read_numbers(clip) for clip in clips] == plan.clips.tolist()


def test_decoded_frames_are_dropped_as_soon_as_no_clip_needs_them(tmp_path, monkeypatch) -> None:
    """A long video never has more frames in memory than a block and what overlapping clips share."""
    path = write_numbered(tmp_path, "plain.avi", 1500)
    reader = Reader(windows(4, 2, window="sliding", length="8", every="4"))
    from specvid.datasets.decode import base
    from specvid.pipelines.embed import reading

    monkeypatch.setattr(base, "_BLOCK_BYTES", 16 * 64 * 96 * 3)
    monkeypatch.setattr(reading, "_CHUNK_BYTES", 3 * 4 * 64 * 96 * 3)
    held = []
    original = Reader._decode

    def counting(self, video, needed):
        for block in original(self, video, needed):
            held.append(len(block))
            yield block

    monkeypatch.setattr(Reader, "_decode", counting)
    count = sum(len(chunk.clips) for chunk in reader.chunks(Source("x", str(path))))
    assert count == 374 and max(held) == 1 and len(held) == 750


def test_reading_does_not_import_what_takes_longer_than_reading(tmp_path) -> None:
    """Each decoding process would pay for it."""
    script = """
import sys
from specvid.datasets.clips.spec import ClipSpec
from specvid.pipelines.embed import WindowConfig
from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.windows import WindowPlanner
reader = Reader(WindowPlanner(WindowConfig(), ClipSpec(8, 2, (32, 32), (32, 48))))
reader.import_all()
before = set(sys.modules)
(chunk,) = reader.chunks(Source("x", sys.argv[1]))
assert not chunk.error and "albumentations" not in sys.modules
heavy = {name.split(".")[0] for name in set(sys.modules) - before} - {"specvid"}
assert not heavy & {"av", "cv2", "scipy", "torchvision"}, heavy
"""
    path = write_numbered(tmp_path, count=10)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_process_runs_ahead_by_bytes() -> None:
    from specvid.pipelines.embed.feed import _ByteQueue
    from specvid.pipelines.embed.reading import Chunk

    ahead, put = _ByteQueue(100), []

    def work() -> None:
        for number, size in enumerate((40, 40, 40, 500, 1)):
            ahead.put(Chunk(length=number), size)
            put.append(number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def finished() -> list[int]:
        thread.join(0.2)
        return list(put)

    assert finished() == [0, 1]  # the third does not fit
    assert ahead.get().length == 0 and finished() == [0, 1, 2]
    assert ahead.get().length == 1 and ahead.get().length == 2
    assert finished() == [0, 1, 2, 3]  # one that is larger than the limit goes alone
    assert ahead.get().length == 3 and ahead.get().length == 4 and finished() == [0, 1, 2, 3, 4]
    assert ahead.held == 0


def test_windows_by_the_clock_where_the_rate_varies() -> None:
    """20 frames 33 ms apart, then 20 at half a second."""
    times = np.array([0.033 * i if i < 20 else 0.66 + 0.5 * (i - 20) for i in range(40)])
    plan = windows(window="sliding", length="1s", every="1s").plan(40, Timing(4.0, times))
    shown = [times[first : last + 1] for first, last in zip(plan.first, plan.last, strict=True)]
    assert len(shown) == 11 and all(np.ptp(seconds) < 1 for seconds in shown)
    assert (plan.first[0], plan.last[0]) == (0, 20)  # 0 to 0.66 s
    assert [len(seconds) for seconds in shown[1:-1]] == [2] * 9
    assert plan.last[-1] == 39
    half = windows(window="sliding", length="0.2s", every="0.2s").plan(40, Timing(4.0, times))
    assert (half.first[0], half.last[0]) == (0, 6)
    assert (half.first <= half.last).all()  # between two frames the one that is shown is taken
