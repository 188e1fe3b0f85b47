"""``specvid train pretrain``."""

from specvid.cli.training import EXTRA, describe_recipes, starting_config
from specvid.cli.verb import Verb
from specvid.pipelines.pretrain.config import PretrainConfig

HELP = """\
specvid train pretrain: train a network without labels, on videos or tracklets (Barlow Twins)

  --data DIR                               any folder of videos, at any depth; labels are not used
  --dataset videos|ucf101|...|mars|...     or the training part of a data set, action or re-ID, of
                                           --split 1; own clips: --test-fraction, --groups
  --model r3d_18                           backbone (`specvid models` lists them)
  --blocks "snl@layer3.-1" --conv "dcd@layer3"   blocks to insert, convolutions to replace
  --weights FILE|DEFAULT                   weights to start from
  --recipe twins|small|tracklets           settings that go together; an option here wins
  --projector 1024 1024 1024               widths of the projector; 8192 8192 8192 in the paper
  --redundancy 0.0051                      weight of correlations between dimensions (lambda)
  --epochs 100 --batch-size 64 --lr 1e-3   the loss is of the whole batch, over all devices
  --frames 16 --stride 2 --size 112        the clip; of tracklets --height 256 --width 128
  --min-area 0.3 --flip 0.5 --jitter 0.4 --grey 0.2 --blur 0.5   how each twin is augmented
  --modality flow|rgb-diff                 motion instead of frames: with --jitter 0 --grey 0
  --freeze stem layer1 --lr-scale layer2=0.1   parts that stand still or learn slowly
  --block-lr 1 --gate-lr 1                 rates of blocks and gates, times that of the rest
  --optimizer sgd|adamw --schedule cosine --warmup 0.1 --ema 0.999
  --precision bf16 --device cpu|cuda --devices 2 --nodes 1 --workers 2
  --seed 0 --name NAME                     the run is runs/NAME
  --limit 100 --max-steps 20               a trial: a part of the data, a part of the training
  --resume auto                            continue runs/NAME if it was started
  --config runs/NAME/config.json           train again with the settings of a run; --trust, if it
                                           names code of somebody else (mmaction2's configs)
  --help-all                               every option

Example, and what follows it:
  specvid train pretrain --data synthetic --model r3d_tiny --epochs 20 --name twins
  specvid train action --data synthetic --model r3d_tiny --weights runs/twins/last/model.safetensors

runs/NAME: config.json, metrics.jsonl (a line an epoch), results.json, last/, best/, log.txt. At the
end it says how far the embeddings spread, and warns where they collapsed.
"""


def defaults(words: list[str]) -> tuple[PretrainConfig, list[str]]:
    """The settings that a command line starts from.

    Args:
        words: of the command line.

    Returns:
        The settings, and the words that remain.
    """
    from specvid.pipelines.pretrain.recipes import recipe_for

    return starting_config(words, PretrainConfig, recipe_for)


def recipes() -> str:
    """What the recipes set, for ``--help-all``."""
    from specvid.pipelines.pretrain import recipes

    assert recipes  # it registers them
    return describe_recipes(PretrainConfig)


def run(config: PretrainConfig) -> int:
    """Train.

    Args:
        config: all settings.

    Returns:
        The exit code.
    """
    from specvid.pipelines.pretrain.train import train

    train(config)
    return 0


TRAIN_PRETRAIN = Verb("train pretrain", HELP, PretrainConfig, run, defaults=defaults, extra=EXTRA, appendix=recipes)
