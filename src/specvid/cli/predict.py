"""``specvid predict``."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_share
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.text import path_on_one_line, printable_path

HELP = """\
specvid predict: name what happens in video files

  VIDEO [VIDEO ...]       files
  --run RUN               the folder of a trained run
  --model NAME --weights FILE|DEFAULT [--blocks "..."]
                          or a backbone, with weights that bring a classifier; --modality flow|rgb-diff
                          where it sees optical flow or differences of frames (a run says so itself)
  --model FOLDER          or what save_pretrained wrote; owner/name: on the Hugging Face Hub
  --labels FILE           names of the classes, a line each. Without it: those of the run or folder,
                          *labels*.txt beside the weights, the data set of the published weights
  --top 5                 how many classes to name
  --clips 10 --crops 1    views of each file; softmax is averaged over them
  --checkpoint last|best  which epoch of the run
  --trust                 also a run or folder that names code of somebody else (mmaction2's configs)
  --frames 16 --stride 4  other clips than those of the network; --size, --resize in px
  --min-readable 0.9      share of the wanted frames that must decode; others stand in, with a warning
  --json                  one JSON object per file and line
  --device cpu|cuda --precision bf16 --workers 2

Of a network for clips of several classes, those that reach their thresholds get a *.
A file that cannot be read gets an error line of its own, the others go on; the exit code is
then 1.

Example:
  specvid predict one.avi two.mp4 --run runs/first --top 3
  specvid predict one.avi --model r3d_18 --weights DEFAULT
"""


@dataclass(frozen=True)
class PredictOptions:
    """Options of ``specvid predict``."""

    videos: Positional[tuple[str, ...]] = ()
    """Video files."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    input: InputConfig = field(default_factory=InputConfig)
    labels: str = ""
    """File with the names of the classes."""
    top: int = 5
    """How many classes to name."""
    clips: int = 10
    """Clips per video."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip."""
    min_readable: float = 0.9
    """Share of the frames of a video's clips that must decode; the nearest ones stand in for the others."""
    json: bool = False
    """One JSON object per file and line."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        require_share(self.min_readable)


def run(options: PredictOptions) -> int:
    """Predict.

    Args:
        options: of the command line.

    Returns:
        The exit code: 1 where a file could not be read.
    """
    if not options.videos:
        raise ValueError("no VIDEO is given: name at least one file.")
    if not options.network.run and not options.network.model:
        raise ValueError(
            "run is not given: --run RUN must name the folder of a trained run, e.g. runs/first; "
            "or give --model NAME --weights FILE."
        )

    from specvid.pipelines.action.predict import predict
    from specvid.pipelines.engine.log import status
    from specvid.pipelines.networks.opening import open_network

    network = open_network(options.network, changes=options.input, classifier=True, labels=options.labels)
    if network.message:
        status(network.message)
    views: dict[str, Any] = {
        "top": options.top,
        "clips": options.clips,
        "crops": options.crops,
        "min_readable": options.min_readable,
    }
    failed = 0
    for prediction in predict(options.videos, network, **views, compute=options.compute):
        failed += bool(prediction.error)
        path = path_on_one_line(prediction.path)
        if options.json:
            about = {**dataclasses.asdict(prediction), "path": printable_path(prediction.path)}
            about["classes"] = [(name, round(share, 6)) for name, share in prediction.classes]
            print(json.dumps(about, ensure_ascii=False), flush=True)
        elif prediction.error:
            print(f"{path}: error: {prediction.error}", flush=True)
        else:
            stars = set(prediction.decided)
            classes = "  ".join(f"{name} {share:.1%}{'*' * (name in stars)}" for name, share in prediction.classes)
            warning = f"  ({prediction.warning})" if prediction.warning else ""
            print(f"{path}: {classes}{warning}", flush=True)
    return 1 if failed else 0


PREDICT = Verb("predict", HELP, PredictOptions, run)
