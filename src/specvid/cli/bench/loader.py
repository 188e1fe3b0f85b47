"""``specvid bench loader``: clips per second of the training loader, beside bare decord and mmaction2's pipeline."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.bench.measuring import bench_verb
from specvid.config import require_at_least

HELP = """\
specvid bench loader: clips per second of the training loader, beside bare decord and mmaction2's pipeline

In turn in one run; decord decodes the same frames and nothing else (pip install decord2), mmaction2's
own pipeline decodes with it. What is not installed is left out.

  DATA                    a data set in UCF-101's layout
  --shrunk DIR            the same set as `specvid data shrink` made it: one more row
  --frames 16 --stride 2 --size 112 --resize 128 171   the clip
  --crop random|resized|multiscale                     the augmentation
  --clips 60 --rounds 5   files per round, rounds; ratios are medians over them
  --workers 2             also with so many decoding processes; 0 = only without

Example:
  specvid bench loader synthetic --frames 8 --stride 1 --size 40 --resize 40 40
"""


@dataclass(frozen=True)
class LoaderOptions:
    """Options of ``specvid bench loader``."""

    data: Positional[str] = ""
    """A data set in UCF-101's layout."""
    shrunk: str = ""
    """The same set as `specvid data shrink` made it: its rate stands in the table, too."""
    frames: int = 16
    stride: int = 2
    size: int = 112
    """Side of the crop, px."""
    resize: tuple[int, int] = (128, 171)
    """Height and width before the crop, px."""
    crop: Literal["random", "resized", "multiscale"] = "random"
    clips: int = 60
    """Files per round."""
    rounds: int = 5
    workers: int = 2
    """Decoding processes of the second half of the table."""

    def __post_init__(self) -> None:
        require_at_least(self, frames=1, stride=1, size=1, resize=1, clips=1, rounds=1, workers=0)


def _measure(options: LoaderOptions) -> str:
    if not options.data:
        raise ValueError("DATA is not given: name the folder of a data set in UCF-101's layout.")

    from specvid.pipelines.engine.log import status
    from specvid.tools.bench.loader import as_text, bench_loader

    return as_text(bench_loader(**vars(options), status=status))


LOADER = bench_verb("loader", HELP, LoaderOptions, _measure)
