"""``specvid predict``."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.pipelines.engine.config import ComputeConfig

HELP = """\
specvid predict: name what happens in video files

  VIDEO [VIDEO ...]       files
  --run RUN               the folder of a trained run
  --model NAME --weights FILE|DEFAULT [--blocks "..."]
                          or a backbone, with weights that bring a classifier
  --model FOLDER          or what save_pretrained wrote; owner/name: on the Hugging Face Hub
  --labels FILE           names of the classes, a line each. Without it: those of the run or folder,
                          *labels*.txt beside the weights, the data set of the published weights
  --top 5                 how many classes to name
  --clips 10 --crops 1    views of each file; softmax is averaged over them
  --checkpoint last|best  which epoch of the run
  --json                  one JSON object per file and line
  --device cpu|cuda --precision bf16 --workers 2

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
    run: str = ""
    """Folder of the run."""
    model: str = ""
    """Backbone, shared folder, or owner/name on the Hugging Face Hub, instead of a run."""
    weights: str = ""
    """Weights of the backbone: a file, or published ones."""
    blocks: str = ""
    """Blocks inserted into the backbone."""
    labels: str = ""
    """File with the names of the classes."""
    top: int = 5
    """How many classes to name."""
    clips: int = 10
    """Clips per video."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch."""
    json: bool = False
    """One JSON object per file and line."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)


def run(options: PredictOptions) -> int:
    """Predict.

    Args:
        options: of the command line.

    Returns:
        The exit code: 1 where a file could not be read.
    """
    if not options.videos:
        raise ValueError("no VIDEO is given: name at least one file.")
    if not options.run and not options.model:
        raise ValueError(
            "run is not given: --run RUN must name the folder of a trained run, e.g. runs/first; "
            "or give --model NAME --weights FILE."
        )
    if options.run and (given := [name for name in ("model", "weights", "blocks", "labels") if getattr(options, name)]):
        raise ValueError(f"{', '.join(given)} cannot be set with --run {options.run!r}: a run brings its own.")

    from specvid.pipelines.action.predict import predict
    from specvid.pipelines.engine import log
    from specvid.pipelines.recogniser import of_model, of_run

    if options.run:
        recogniser = of_run(options.run, options.checkpoint)
    else:
        own = {name: getattr(options, name) for name in ("weights", "blocks", "labels")}
        recogniser = of_model(options.model, **own)
    if recogniser.note:
        log.status(recogniser.note)
    views = {"top": options.top, "clips": options.clips, "crops": options.crops}
    failed = 0
    for prediction in predict(options.videos, recogniser, **views, compute=options.compute):
        failed += bool(prediction.error)
        if options.json:
            print(json.dumps(dataclasses.asdict(prediction), ensure_ascii=False), flush=True)
        elif prediction.error:
            print(f"{prediction.path}: error: {prediction.error}", flush=True)
        else:
            classes = "  ".join(f"{name} {probability:.1%}" for name, probability in prediction.classes)
            note = f"  ({prediction.note})" if prediction.note else ""
            print(f"{prediction.path}: {classes}{note}", flush=True)
    return 1 if failed else 0


PREDICT = Verb("predict", HELP, PredictOptions, run)
