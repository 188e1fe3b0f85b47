"""The clips of many inputs in their order, decoded ahead by several processes.

Process w has inputs w, w + W, w + 2W ... and runs ahead of the reader by so many bytes: memory is bounded, batches of
small clips wait for the network, and the order does not depend on how fast anybody is. A process that dies or hangs
(decoders do, on some damaged files) costs the input that killed it, no other: the input is tried once more alone, and
given up if that happens again. (That is why this is no `DataLoader`: there, a dead worker raises an error in the main
thread, wherever it just is.)
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

import torch

from specvid.pipelines.embed.reading import Piece, Reader
from specvid.pipelines.embed.sources import Source

_AHEAD = 32 * 2**20  # bytes that a process may be ahead: four of the largest pieces
_LEAST = 2**16  # bytes that a piece counts for, however small


def read_ahead(
    sources: Sequence[Source], reader: Reader, *, workers: int = 2, timeout: float = 600.0
) -> Iterator[tuple[int, Piece]]:
    """(place in ``sources``, piece) for each input in order; an input ends with a piece that is its ``last``.

    ``workers``: processes, 0 decodes right here; ``timeout``: seconds without a piece, then a process is given up.
    """
    if not workers:
        for place in range(len(sources)):
            for piece in reader.pieces(sources[place]):
                yield place, piece
        return
    reader.import_all()  # here, once: the processes are forks
    count = min(workers, len(sources))
    lanes = [_Lane(sources, reader, range(first, len(sources), count), timeout) for first in range(count)]
    try:
        for place in range(len(sources)):
            for piece in lanes[place % count].pieces(place):
                yield place, piece
    finally:
        for lane in lanes:
            lane.stop()


class _Lane:
    """One decoding process at a time, and its share of the inputs."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: range, timeout: float) -> None:
        self.sources, self.reader, self.places, self.timeout = sources, reader, places, timeout
        self._process: _Process | None = self._start(places)

    def pieces(self, place: int) -> Iterator[Piece]:
        """The pieces of the next input of this lane."""
        if self._process is None:
            self._process = self._start(self.places[self.places.index(place) :])
        given = 0
        try:
            for piece in self._process.pieces():
                given += 1
                yield piece
            return
        except _Lost:
            self.stop()
        # What the process had decoded ahead is lost with it. Alone the input shows whether it was the cause.
        alone = self._start([place])
        try:
            for number, piece in enumerate(alone.pieces()):
                if number >= given:
                    yield piece
        except _Lost as error:
            yield Piece(last=True, error=f"the decoder {error}, the file is damaged in an unusual way")
        finally:
            alone.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _start(self, places: Sequence[int]) -> "_Process":
        return _Process(self.sources, self.reader, places, self.timeout)


class _Lost(Exception):
    """A process died or hangs."""


class _Process:
    """A process that decodes some inputs, and the pipe that its pieces come through."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: Sequence[int], timeout: float) -> None:
        self.timeout = timeout
        self._pipe, far = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(target=_decode, args=(far, sources, reader, places), daemon=True)
        self._process.start()
        far.close()  # so that the pipe ends when the process does

    def pieces(self) -> Iterator[Piece]:
        """The pieces of the input that is next. Raises `_Lost`."""
        while True:
            try:
                if not self._pipe.poll(self.timeout):
                    raise _Lost(f"gives nothing for {self.timeout:.0f} s")
                piece, shape = self._pipe.recv()
                if shape is not None:
                    piece.clips = torch.empty(shape, dtype=torch.uint8)
                    self._pipe.recv_bytes_into(memoryview(piece.clips.numpy()).cast("B"))
            except (EOFError, OSError):
                raise _Lost("kills its process") from None
            yield piece
            if piece.last:
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


class _Ahead:
    """A queue between two threads that is full when it holds ``limit`` bytes; one piece always fits."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._pieces: deque[tuple[Piece | None, int]] = deque()
        self._change = threading.Condition()

    def put(self, piece: Piece | None, size: int) -> None:
        with self._change:
            self._change.wait_for(lambda: not self._pieces or self.held + size <= self.limit)
            self._pieces.append((piece, size))
            self.held += size
            self._change.notify_all()

    def get(self) -> Piece | None:
        with self._change:
            self._change.wait_for(lambda: self._pieces)
            piece, size = self._pieces.popleft()
            self.held -= size
            self._change.notify_all()
            return piece


def _decode(pipe: Connection, sources: Sequence[Source], reader: Reader, places: Sequence[int]) -> None:
    """The work of a process: a thread sends what this one decodes."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ready = _Ahead(_AHEAD)
    sender = threading.Thread(target=_send, args=(pipe, ready), daemon=True)
    sender.start()
    for place in places:
        for piece in reader.pieces(sources[place]):
            ready.put(piece, _LEAST if piece.clips is None else max(_LEAST, piece.clips.nbytes))
    ready.put(None, 0)
    sender.join()


def _send(pipe: Connection, ready: "_Ahead") -> None:
    while (piece := ready.get()) is not None:
        clips, piece.clips = piece.clips, None
        try:
            pipe.send((piece, None if clips is None else tuple(clips.shape)))
            if clips is not None:
                pipe.send_bytes(clips.numpy().data.cast("B"))
        except OSError:  # nobody reads any more
            os._exit(0)
