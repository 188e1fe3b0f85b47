"""The clips of many inputs in their order, decoded ahead by several processes.

Process w has inputs w, w + W, w + 2W ... and runs ahead of the reader by a few pieces, so memory is bounded and the
order does not depend on how fast anybody is. A process that dies or hangs (decoders do, on some damaged files) costs
the input that killed it, no other: the input is tried once more alone, and given up if that happens again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from specvid.pipelines.embed.reading import Piece, Reader
from specvid.pipelines.embed.sources import Source

_AHEAD = 4  # pieces that a process may be ahead


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
    count = min(workers, len(sources))
    lanes = [_Lane(sources, reader, range(first, len(sources), count), timeout) for first in range(count)]
    for place in range(len(sources)):
        for piece in lanes[place % count].pieces(place):
            yield place, piece


class _Lane:
    """One decoding process and its share of the inputs."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: range, timeout: float) -> None:
        self.sources, self.reader, self.places, self.timeout = sources, reader, places, timeout
        self._running: Iterator[Piece] | None = self._start(places)

    def pieces(self, place: int) -> Iterator[Piece]:
        """The pieces of the next input of this lane."""
        if self._running is None:
            self._running = self._start(self.places[self.places.index(place) :])
        given = 0
        try:
            for piece in self._running:
                given += 1
                yield piece
                if piece.last:
                    return
        except RuntimeError:
            self._running = None
        # The process died; what it had decoded ahead is lost with it. Alone it shows whether this input was the cause.
        try:
            for number, piece in enumerate(self._start([place])):
                if number >= given:
                    yield piece
        except RuntimeError as error:
            why = "takes too long" if "timed out" in str(error) else "kills its process"
            yield Piece(last=True, error=f"the decoder {why}, the file is damaged in an unusual way")

    def _start(self, places: Sequence[int]) -> Iterator[Piece]:
        loader = DataLoader(
            _Pieces(self.sources, self.reader, places),
            batch_size=None,
            num_workers=1,
            prefetch_factor=_AHEAD,
            timeout=self.timeout,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),
        )
        return iter(loader)


class _Pieces(IterableDataset[Piece]):
    """All pieces of some inputs, one after the other."""

    def __init__(self, sources: Sequence[Source], reader: Reader, places: Sequence[int]) -> None:
        self.sources, self.reader, self.places = sources, reader, places

    def __iter__(self) -> Iterator[Piece]:
        for place in self.places:
            yield from self.reader.pieces(self.sources[place])


def _one_thread(worker: Any) -> None:
    import cv2

    cv2.setNumThreads(1)
