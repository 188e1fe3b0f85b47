"""``specvid train reid``."""

from specvid.cli.training import EXTRA, describe_recipes, starting_config
from specvid.cli.verb import Verb
from specvid.pipelines.reid.config import ReidConfig

HELP = """\
specvid train reid: train a person re-identifier, score its last epoch, save both in runs/NAME

  --data DIR --dataset mars --split 1      mars, ilids-vid, prid2011, or tracklets: an own folder/table
  --model resnet50 --last-stride 1         backbone (`specvid models`); images run per frame, and
  --blocks "snl@layer3.-1"                 blocks see all frames together: block[(option=value)]@place
  --conv "dcd@layer3" --weights FILE|imagenet   convolutions to replace; weights to start from
  --recipe baseline|mobile|osnet|r50|tiny  settings that go together; an option here wins
  --frames 8 --height 256 --width 128      the clip: one random frame from each of 8 parts
  --identities 8 --tracklets 4 --batch-size 32 batches: P identities x K tracklets = batch size
  --epochs 120 --repeats 1                 everybody comes --repeats times in an epoch
  --pooling mean|max|attention --neck bnneck|none --embedding-dim 512
  --label-smoothing 0.1 --triplet 1 --margin 0.3 --centre 5e-4
  --lr 3.5e-4 --schedule step --warmup 0.08 --milestones 40 70
  --freeze stem layer1 --lr-scale layer2=0.1 --layer-decay 0.75   parts that stand still or learn slowly
  --early-stop 5                           end when --val-fraction's part got no better so long
  --block-lr 10 --gate-lr 100 --block-warmup 0.1   rates of blocks and gates; backbone waits so long
  --zoom 1.125 --flip 0.5 --erase 0.5      augmentation, the same for all frames of a clip
  --interpolation bilinear|area|bicubic    how frames are resized
  --val-fraction 0.1                       hold out identities to select best/
  --test-sampling all|even|first           frames of a test tracklet
  --precision auto|fp32|bf16 --device cpu|cuda --devices 2 --workers 2 --seed 0 --name NAME
  --limit 20 --max-steps 20                a trial: some identities, a part of the training
  --resume auto                            continue runs/NAME if it was started
  --config runs/NAME/config.json           train again with the settings of a run; --trust, if it
                                           names code of somebody else (mmaction2's configs)
  --help-all                               every option

Example (`specvid data synthesize mars walkers` makes the data):
  specvid train reid --data walkers --model r3d_tiny --blocks "snl@layer2.-1" --name gait

runs/NAME: config.json, metrics.jsonl, results.json, last/, best/, log.txt, and eval/: figures with
their protocol, per-query tables, features.parquet. best/ is never chosen on the test set.
"""


def defaults(words: list[str]) -> tuple[ReidConfig, list[str]]:
    """The settings that a command line starts from.

    Args:
        words: of the command line.

    Returns:
        The settings, and the words that remain.
    """
    from specvid.pipelines.reid.recipes import recipe_for

    return starting_config(words, ReidConfig, recipe_for)


def recipes() -> str:
    """What the recipes set, for ``--help-all``."""
    from specvid.pipelines.reid import recipes

    assert recipes  # it registers them
    return describe_recipes(ReidConfig)


def run(config: ReidConfig) -> int:
    """Train.

    Args:
        config: all settings.

    Returns:
        The exit code: 1 where test tracklets had no readable frame.
    """
    from specvid.pipelines.reid.train import train

    results = train(config)
    return 1 if results["evaluations"][-1]["lost"] else 0


TRAIN_REID = Verb("train reid", HELP, ReidConfig, run, defaults=defaults, extra=EXTRA, appendix=recipes)
