"""The clips of many inputs in their order, decoded ahead by several processes.

Process w has inputs w, w + W, w + 2W ... and runs ahead of the reader by so many bytes: memory is bounded, batches of
small clips wait for the network, and the order does not depend on how fast anybody is. A process that dies or hangs
(decoders do, on some damaged files) costs the input that killed it, no other: the input is tried once more alone, and
given up if that happens again. (That is why this is no `DataLoader`: there, a dead worker raises an error in the main
thread, wherever it just is.)
"""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

import torch

from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.pipe import receive_into, send_all, wide_pipe
from specvid.pipelines.embed.reading import Chunk, Reader
from specvid.pipelines.engine.workers import start_worker

_AHEAD_BYTES = 32 * 2**20  # bytes that a process may be ahead: four of the largest chunks
_CHUNK_COST = 2**16  # bytes that a chunk counts for, however small


def read_ahead(
    sources: Sequence[Source], reader: Reader, *, workers: int = 2, timeout: float = 600.0
) -> Iterator[tuple[int, Chunk]]:
    """Decode inputs in processes that run ahead.

    Args:
        sources: the inputs.
        reader: cuts them into clips.
        workers: decoding processes; 0 decodes right here.
        timeout: seconds without a chunk after which a process is given up.

    Yields:
        (place in ``sources``, chunk), in the order of inputs; each ends with a chunk that is its ``last``.
    """
    if not workers:
        for place in range(len(sources)):
            for chunk in reader.chunks(sources[place]):
                yield place, chunk
        return
    reader.import_all()  # here, once: the processes are forks
    count = min(workers, len(sources))
    pool = [_Worker(sources, reader, range(first, len(sources), count), timeout) for first in range(count)]
    try:
        for place in range(len(sources)):
            for chunk in pool[place % count].chunks(place):
                yield place, chunk
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """One decoding process at a time, and its share of the inputs."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: range, timeout: float) -> None:
        self.sources, self.reader, self.places, self.timeout = sources, reader, places, timeout
        self._process: _DecodeProcess | None = self._start(places)

    def chunks(self, place: int) -> Iterator[Chunk]:
        """The chunks of the next input of this worker."""
        if self._process is None:
            self._process = self._start(self.places[self.places.index(place) :])
        given = 0
        try:
            for chunk in self._process.chunks():
                given += 1
                yield chunk
            return
        except _WorkerLost:
            self.stop()
        # What the process had decoded ahead is lost with it. Alone the input shows whether it was the cause.
        alone = self._start([place])
        try:
            for number, chunk in enumerate(alone.chunks()):
                if number >= given:
                    yield chunk
        except _WorkerLost as error:
            yield Chunk(last=True, error=f"the decoder {error}, the file is damaged in an unusual way")
        finally:
            alone.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _start(self, places: Sequence[int]) -> "_DecodeProcess":
        return _DecodeProcess(self.sources, self.reader, places, self.timeout)


class _WorkerLost(Exception):
    """A process died or hangs."""


class _DecodeProcess:
    """A process that decodes some inputs, and the pipe that its chunks come through."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: Sequence[int], timeout: float) -> None:
        self.timeout = timeout
        self._pipe, far = wide_pipe()
        self._process = multiprocessing.Process(target=_decode, args=(far, sources, reader, places), daemon=True)
        self._process.start()
        far.close()  # so that the pipe ends when the process does

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of the input that is next. Raises `_WorkerLost`."""
        while True:
            try:
                if not self._pipe.poll(self.timeout):
                    raise _WorkerLost(f"gives nothing for {self.timeout:.0f} s")
                chunk, shape = self._pipe.recv()
                if shape is not None:
                    chunk.clips = torch.empty(shape, dtype=torch.uint8)
                    receive_into(self._pipe, chunk.clips.numpy().data.cast("B"))
            except (EOFError, OSError):
                raise _WorkerLost("kills its process") from None
            yield chunk
            if chunk.last:
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


class _ByteQueue:
    """A queue between two threads that is full when it holds ``limit`` bytes; one chunk always fits."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._chunks: deque[tuple[Chunk | None, int]] = deque()
        self._change = threading.Condition()

    def put(self, chunk: Chunk | None, size: int) -> None:
        with self._change:
            self._change.wait_for(lambda: not self._chunks or self.held + size <= self.limit)
            self._chunks.append((chunk, size))
            self.held += size
            self._change.notify_all()

    def get(self) -> Chunk | None:
        with self._change:
            self._change.wait_for(lambda: self._chunks)
            chunk, size = self._chunks.popleft()
            self.held -= size
            self._change.notify_all()
            return chunk


def _decode(pipe: Connection, sources: Sequence[Source], reader: Reader, places: Sequence[int]) -> None:
    """The work of a process: a thread sends what this one decodes."""
    start_worker(0)
    ready = _ByteQueue(_AHEAD_BYTES)
    sender = threading.Thread(target=_send, args=(pipe, ready), daemon=True)
    sender.start()
    for place in places:
        for chunk in reader.chunks(sources[place]):
            ready.put(chunk, _CHUNK_COST if chunk.clips is None else max(_CHUNK_COST, chunk.clips.nbytes))
    ready.put(None, 0)
    sender.join()


def _send(pipe: Connection, ready: "_ByteQueue") -> None:
    while (chunk := ready.get()) is not None:
        clips, chunk.clips = chunk.clips, None
        try:
            pipe.send((chunk, None if clips is None else tuple(clips.shape)))
            if clips is not None:
                send_all(pipe, clips.numpy().data.cast("B"))
        except OSError:  # nobody reads any more
            os._exit(0)
