"""Windows and clips of a video, and reading them in one pass in bounded memory."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from synthetic_videos import read_numbers, write_numbered

from specvid.datasets.clips.sampling import test_clips as even_clips
from specvid.datasets.clips.sampling import uniform_segments
from specvid.datasets.decode import open_video
from specvid.models.spec import InputSpec
from specvid.pipelines.embed import WindowChoice
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.sources import Source
from specvid.pipelines.embed.windows import Windows


def windows(frames: int = 8, stride: int = 2, sampling: str = "dense", **choice) -> Windows:
    return Windows(WindowChoice(**choice), frames, stride, sampling)


@pytest.mark.parametrize("length", [1, 5, 15, 16, 17, 40, 100])
def test_the_whole_video_is_covered_by_the_fewest_clips(length: int) -> None:
    plan = windows().plan(length, 25)
    assert (plan.first.tolist(), plan.last.tolist()) == ([0], [length - 1])
    assert len(plan.clips) == -(-length // 16) and not plan.window.any()
    reached = plan.clips.max() - plan.clips.min() + 1
    assert length - reached <= 1  # every other frame, from the first to the last but one


@pytest.mark.parametrize("per_window", ["window", "video"])
def test_sliding_windows_leave_no_frame_out(per_window: str) -> None:
    plan = windows(window="sliding", length="2s", every="1s", rows=per_window).plan(130, 25)
    if per_window == "video":
        assert plan.first.tolist() == [0] and plan.last.tolist() == [129] and set(plan.window) == {0}
    else:
        assert plan.first.tolist() == [0, 25, 50, 75, 80] and (plan.last - plan.first == 49).all()
        for number, first in enumerate(plan.first):
            own = plan.clips[plan.window == number]
            assert np.array_equal(own, first + even_clips(50, 8, 2, 4))


def test_a_window_shorter_than_a_clip_is_looped_and_never_left() -> None:
    plan = windows(window="sliding", length="5", every="5").plan(12, 25)
    assert plan.first.tolist() == [0, 5, 7] and plan.last.tolist() == [4, 9, 11]
    for number in range(3):
        own = plan.clips[plan.window == number]
        assert own.min() == plan.first[number] and own.max() == plan.last[number]


def test_uniform_clips_are_spread_and_a_short_video_has_fewer() -> None:
    plan = windows(window="uniform", clips=3).plan(100, 25)
    assert np.array_equal(plan.clips, even_clips(100, 8, 2, 3)) and plan.last.tolist() == [99]
    rows = windows(window="uniform", clips=3, rows="window").plan(100, 25)
    assert rows.first.tolist() == plan.clips[:, 0].tolist() and rows.window.tolist() == [0, 1, 2]
    assert len(windows(window="uniform", clips=3).plan(7, 25).clips) == 1


def test_segments_take_one_frame_of_each_part() -> None:
    assert np.array_equal(windows(sampling="segments").plan(100, 25).clips, uniform_segments(100, 8, None)[None])
    two = windows(sampling="segments", window="uniform", clips=2).plan(100, 25).clips
    assert np.array_equal(two, np.stack([uniform_segments(50, 8, None), 50 + uniform_segments(50, 8, None)]))


def test_seconds_need_a_frame_rate_and_spans_must_be_spans() -> None:
    with pytest.raises(ValueError, match="no frame rate"):
        windows(window="sliding", length="2s").plan(100, 0.0)
    for text in ("2 m", "-1s", "0", "1.5", "s"):
        with pytest.raises(ValueError, match="must be seconds"):
            WindowChoice(window="sliding", length=text)
    with pytest.raises(ValueError, match="belongs to --window sliding"):
        WindowChoice(length="2s")


@pytest.mark.parametrize("kind", ["plain.avi", "b_frames.avi", "closed.mp4", "stream.ts"])
@pytest.mark.parametrize("choice", [{}, {"window": "sliding", "length": "20", "every": "3"}])
def test_reading_in_one_pass_gives_the_frames_of_the_plan(tmp_path, monkeypatch, kind: str, choice: dict) -> None:
    """Small pieces and blocks, so that clips share frames over many of them."""
    from specvid.datasets.decode import base
    from specvid.pipelines.embed import reading

    monkeypatch.setattr(reading, "_PIECE_BYTES", 2 * 8 * 64 * 96 * 3)
    monkeypatch.setattr(base, "_BLOCK_BYTES", 7 * 64 * 96 * 3)
    path = write_numbered(tmp_path, kind, 90)
    spec = InputSpec(frames=8, stride=2, size=(64, 96), resize=(64, 96))
    reader = Reader(spec, windows(**choice))
    pieces = list(reader.pieces(Source("x", str(path))))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True] and len(pieces) > 2
    assert max(len(piece.clips) for piece in pieces) == 2
    clips = np.concatenate([piece.clips.numpy() for piece in pieces])
    with open_video(path) as video:
        plan = reader.windows.plan(len(video), video.fps)
    assert [read_numbers(clip) for clip in clips] == plan.clips.tolist()


def test_decoded_frames_are_dropped_as_soon_as_no_clip_needs_them(tmp_path, monkeypatch) -> None:
    """A long video never has more frames in memory than a block and what overlapping clips share."""
    path = write_numbered(tmp_path, "plain.avi", 1500)
    reader = Reader(InputSpec(4, 2, (64, 96), (64, 96)), windows(4, 2, window="sliding", length="8", every="4"))
    from specvid.datasets.decode import base
    from specvid.pipelines.embed import reading

    monkeypatch.setattr(base, "_BLOCK_BYTES", 16 * 64 * 96 * 3)
    monkeypatch.setattr(reading, "_PIECE_BYTES", 3 * 4 * 64 * 96 * 3)
    held = []
    original = Reader._decode

    def counting(self, video, needed):
        for block in original(self, video, needed):
            held.append(len(block))
            yield block

    monkeypatch.setattr(Reader, "_decode", counting)
    count = sum(len(piece.clips) for piece in reader.pieces(Source("x", str(path))))
    assert count == 374 and max(held) == 1 and len(held) == 750


def test_reading_does_not_import_what_takes_longer_than_reading(tmp_path) -> None:
    """Each decoding process would pay for it."""
    script = """
import sys
from specvid.models.spec import InputSpec
from specvid.pipelines.embed import WindowChoice
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.sources import Source
from specvid.pipelines.embed.windows import Windows
reader = Reader(InputSpec(8, 2, (32, 32), (32, 48)), Windows(WindowChoice(), 8, 2, "dense"))
reader.import_all()
before = set(sys.modules)
(piece,) = reader.pieces(Source("x", sys.argv[1]))
assert not piece.error and "albumentations" not in sys.modules
heavy = {name.split(".")[0] for name in set(sys.modules) - before} - {"specvid"}
assert not heavy & {"av", "cv2", "decord", "scipy", "torchvision"}, heavy
"""
    path = write_numbered(tmp_path, count=10)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_process_runs_ahead_by_bytes() -> None:
    from specvid.pipelines.embed.feed import _Ahead
    from specvid.pipelines.embed.reading import Piece

    ahead, put = _Ahead(100), []

    def work() -> None:
        for number, size in enumerate((40, 40, 40, 500, 1)):
            ahead.put(Piece(length=number), size)
            put.append(number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def settled() -> list[int]:
        thread.join(0.2)
        return list(put)

    assert settled() == [0, 1]  # the third does not fit
    assert ahead.get().length == 0 and settled() == [0, 1, 2]
    assert ahead.get().length == 1 and ahead.get().length == 2
    assert settled() == [0, 1, 2, 3]  # one that is larger than the limit goes alone
    assert ahead.get().length == 3 and ahead.get().length == 4 and settled() == [0, 1, 2, 3, 4]
    assert ahead.held == 0
