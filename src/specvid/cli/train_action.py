"""``specvid train action``."""

from specvid.cli.training import EXTRA, describe_recipes, starting_config
from specvid.cli.verb import Verb
from specvid.pipelines.action.config import ActionConfig

HELP = """\
specvid train action: train an action recogniser, score its last epoch, save both in runs/NAME

  --data DIR --dataset ucf101 --split 1    clips: the folder, its layout, the official split
                                           hmdb51, kinetics, something-v1, something-v2,
                                           diving48, jester; own clips: folders, table
  --test-fraction 0.2 --groups '(.*)_clip' own clips: split a test part off, by sources
  --model r3d_18                           backbone (`specvid models` lists them)
  --blocks "snl@layer3.-1"                 blocks to insert: block[(option=value)]@place, ...
  --conv "dcd@layer3" --weights FILE|DEFAULT   convolutions to replace; weights to start from
  --recipe scratch|finetune|small          settings that go together; an option here wins
           probe|blocks                    on a frozen network: classifier alone, or blocks too
  --freeze stem layer1                     parts that stand still, norms included; faster, too
  --lr-scale layer2=0.1 --layer-decay 0.75 rates of parts, of stages from the head down
  --epochs 30 --batch-size 32 --lr 0.01    a batch is what one step takes, over all devices
  --block-lr 10 --gate-lr 100 --block-warmup 0.1   rates of blocks and gates; backbone waits so long
  --optimizer sgd|adamw                    no weight decay on biases, norms, block gates
  --schedule cosine|onecycle|step          with --warmup 0.05, --milestones 20 40
  --frames 16 --stride 2 --size 112        the clip; the backbone's own if not given
  --modality flow|rgb-diff                 optical flow (images of it, else computed); differences
  --min-readable 0.9                       share of a clip's frames that must decode; others stand in
  --crop multiscale --jitter 0.2 --mixup 0.2 --label-smoothing 0.1
  --val-fraction 0.2                       hold out groups of the train list to select best/
  --early-stop 5                           end when they got no better for so many epochs
  --balance sampler|loss                   classes with few clips count as much as the others
  --precision auto|fp32|bf16 --accumulate 2 --clip-norm 10 --ema 0.999 --compile
  --device cpu|cuda --devices 2 --nodes 1  or start it with torchrun: nothing else changes
  --workers 2 --checkpoint-activations     decoding processes per device; less memory, longer steps
  --seed 0 --name NAME                     the run is runs/NAME
  --limit 100 --max-steps 20               a trial: a part of the data, a part of the training
  --resume auto                            continue runs/NAME if it was started: killed and
                                           continued, it ends as if it had not been killed
  --config runs/NAME/config.json           train again with the settings of a run; --trust, if it
                                           names code of somebody else (mmaction2's configs)
  --help-all                               every option

Example:
  specvid train action --data synthetic --model r3d_tiny --blocks "snl@layer2.-1" --epochs 20 --name first

runs/NAME: config.json, lists.json, metrics.jsonl (a line an epoch), results.json, last/, best/,
log.txt, tensorboard/, eval/. The final figure is of the last epoch; best/ is never chosen on the test list.
"""


def defaults(words: list[str]) -> tuple[ActionConfig, list[str]]:
    """The settings that a command line starts from.

    Args:
        words: of the command line.

    Returns:
        The settings, and the words that remain.
    """
    from specvid.pipelines.action.recipes import recipe_for

    return starting_config(words, ActionConfig, recipe_for)


def recipes() -> str:
    """What the recipes set, for ``--help-all``."""
    from specvid.pipelines.action import recipes

    assert recipes  # it registers them
    return describe_recipes(ActionConfig)


def run(config: ActionConfig) -> int:
    """Train.

    Args:
        config: all settings.

    Returns:
        The exit code.
    """
    from specvid.pipelines.action.train import train

    train(config)
    return 0


TRAIN_ACTION = Verb("train action", HELP, ActionConfig, run, defaults=defaults, extra=EXTRA, appendix=recipes)
