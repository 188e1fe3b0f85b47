"""Which file each loading process reads, so that a decoder that kills its process, or hangs, costs that file only."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch.utils.data import get_worker_info

from specvid.errors import VideoError

_MOST_WORKERS = 256
_TRIES = 2  # of a file: a process may have died of something else


class ReadingGuard:
    """What each process of a data loader reads right now, in memory that outlives the process.

    The main process calls `share` before it starts them, and `accuse` when one of them is gone; the files that were
    given up so are errors from then on, in processes that are started later.

    Attributes:
        lost: number of each item that was given up -> why.
    """

    def __init__(self) -> None:
        self._at = torch.zeros(_MOST_WORKERS, 2, dtype=torch.float64)  # number of the item + 1, and since when
        self._deaths: Counter[int] = Counter()
        self.lost: dict[int, str] = {}

    def share(self) -> None:
        """Let processes that are started from here on write into it."""
        self._at.share_memory_()

    @contextmanager
    def reading(self, number: int, path: object) -> Iterator[None]:
        """Say that item ``number`` is read while the block runs.

        Args:
            number: of the item in its data set.
            path: its file.

        Raises:
            VideoError: the item was given up before, or whatever goes wrong in the block.
        """
        if number in self.lost:
            raise VideoError(str(path), self.lost[number])
        info = get_worker_info()
        place = info.id if info is not None and info.id < _MOST_WORKERS else -1
        if place >= 0:
            self._at[place, 1] = time.monotonic()
            self._at[place, 0] = number + 1
        try:
            yield
        except VideoError:
            raise
        except Exception as error:  # whatever a file makes a decoder do: it is named, and the others go on
            text = " ".join(str(error).split())
            reason = text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
            raise VideoError(str(path), reason) from error
        finally:
            if place >= 0:
                self._at[place, 0] = 0

    def accuse(self, gone: Mapping[int, str]) -> bool:
        """Hold against what processes read that they are gone; a second time, the item is given up.

        Args:
            gone: number of each process -> what became of it.

        Returns:
            Whether any of them was reading.
        """
        found = False
        for place, what in gone.items():
            number = int(self._at[place, 0]) - 1 if place < _MOST_WORKERS else -1
            if number >= 0:
                found = True
                self._deaths[number] += 1
                if self._deaths[number] >= _TRIES:
                    self.lost[number] = f"its decoder {what}, {_TRIES} times: the file is damaged in an unusual way"
        self._at.zero_()
        return found

    def reading_longer_than(self, seconds: float) -> list[int]:
        """The processes that have been reading one item for so long.

        Args:
            seconds: how long.

        Returns:
            Their numbers.
        """
        since = time.monotonic() - seconds
        return [place for place in range(_MOST_WORKERS) if self._at[place, 0] and self._at[place, 1] < since]
