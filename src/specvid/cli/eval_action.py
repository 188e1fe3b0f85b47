"""``specvid eval action``."""

from dataclasses import dataclass, field

from specvid.cli.evaluation import RunOptions, print_json
from specvid.cli.verb import Verb
from specvid.pipelines.action.config import ActionEvaluationConfig
from specvid.pipelines.engine.config import DistributedConfig

HELP = """\
specvid eval action: score runs on the test list of a split; every listed clip counts once

  --run RUN [RUN ...]     folders of runs; `{split}` in a name stands for each of --splits
  --split 1               the split; without it, each run's own
  --splits 1,2,3          several splits and their mean: one run per split, each scored on the
                          split that it was trained on
  --clips 10 --crops 1    views of each video: clips evenly over it, crops 1, 3, 5 or 10;
                          softmax is averaged over the views
  --fuse mean|geometric   late fusion: the mean of the probabilities of several runs (of RGB and of
                          optical flow: two streams); --out DIR
  --checkpoint last|best  which epoch
  --trust                 also runs that name code of somebody else (mmaction2's configs)
  --data DIR              where the data set lies now, if it moved
  --min-readable 0.9      share of the wanted frames that must decode; others stand in, and count
  --force                 score runs on splits they were trained on, marked beside the figure
  --json                  print the figures as JSON instead
  --device cpu|cuda --devices 2 --precision bf16 --batch-size 16 --workers 2

Unreadable and missing clips count as wrong and are named. Writes RUN/results.json and
RUN/eval/splitS-EPOCH-CLIPSxCROPS/: results.json (per class), clips.csv, confusion.png.

Examples:
  specvid eval action --run runs/first --clips 10 --crops 3
  specvid eval action --run "runs/snl-s{split}" --splits 1,2,3
"""


@dataclass(frozen=True)
class EvalActionOptions(RunOptions):
    """Options of ``specvid eval action``."""

    scoring: ActionEvaluationConfig = field(default_factory=ActionEvaluationConfig)
    compute: DistributedConfig = field(default_factory=DistributedConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run:
            raise ValueError("run is not given: --run RUN must name the folder of a run, e.g. runs/first.")


def run(options: EvalActionOptions) -> int:
    """Score.

    Args:
        options: of the command line.

    Returns:
        The exit code.
    """
    runs, splits = options.run_folders(), options.split_numbers()

    from specvid.pipelines.action.evaluate import evaluate
    from specvid.pipelines.engine.log import echo, silent

    output = silent if options.json else echo
    figures = evaluate(runs, options.scoring, splits=splits, compute=options.compute, echo=output)
    if options.json:
        print_json(figures)
    return 0


EVAL_ACTION = Verb("eval action", HELP, EvalActionOptions, run)
