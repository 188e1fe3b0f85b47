"""The pipe that clips come through: all bytes in their order, however it is filled, and an end that is noticed."""

import os
import sys
import threading

import numpy as np
import pytest

from specvid.pipelines.embed.pipe import receive_into, send_all, wide_pipe


def test_bytes_of_any_number_arrive_between_messages() -> None:
    near, far = wide_pipe()
    clips = [np.random.default_rng(n).integers(0, 256, n, np.uint8) for n in (0, 1, 65_537, 5_000_000)]

    def send() -> None:
        for clip in clips:
            far.send(len(clip))
            send_all(far, clip.data.cast("B"))

    sender = threading.Thread(target=send)
    sender.start()
    for clip in clips:
        found = np.empty(near.recv(), np.uint8)
        receive_into(near, found.data.cast("B"))
        assert np.array_equal(found, clip)
    sender.join()


def test_an_end_in_the_middle_of_a_clip_is_an_end() -> None:
    near, far = wide_pipe()
    send_all(far, memoryview(b"abc"))
    far.close()
    with pytest.raises(EOFError):
        receive_into(near, memoryview(bytearray(4)))


def test_who_sends_to_nobody_is_told() -> None:
    near, far = wide_pipe()
    near.close()
    with pytest.raises(BrokenPipeError):
        send_all(far, memoryview(bytes(2**22)))


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have one size elsewhere")
def test_a_pipe_holds_a_clip() -> None:
    _near, far = wide_pipe()
    os.set_blocking(far.fileno(), False)
    assert os.write(far.fileno(), bytes(2**20)) == 2**20
