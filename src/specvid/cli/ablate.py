"""``specvid ablate``."""

from dataclasses import dataclass
from itertools import pairwise

from specvid.cli.verb import Verb
from specvid.pipelines.ablate.grid import OWN, AblationConfig

HELP = """\
specvid ablate: does a block help? A grid of trainings over the same seeds, and its table

  --task reid|action          what is trained: `specvid train TASK`
  --set NAME=VALUE ...        settings of every training, as `specvid train TASK` has them;
                              several values with commas: freeze=conv1,conv2
  --blocks snl "nl(gate=0.1)" blocks to compare; with a place of their own: snl@layer3.-1; or a
                              published placement, i3d_nln; the bare network always takes part
  --places layer2.-1 layer3:5 where blocks without a place go, each a row
  --variants "" "gate-lr=100" more settings, each a row (--recipes mobile osnet: likewise)
  --seeds 0 1 2 3 4           every row is trained with each of them
  --runs runs/ablation        folder of the runs
  --jobs 2                    trainings at a time; one for each core if not given
  --dry-run                   train nothing: the rows, how many trainings they are, what is finished
  --table-only                train nothing: the table of what is finished of this grid
  --protocol mars-ap --metrics mAP rank1   the figures; the first one decides

Prints, and writes into RUNS/ablation.md and .csv: mean and deviation, paired differences to the
bare network with their 95 % interval, what they say, where the gates stand, parameters and cost.
Stopped or killed, the same command goes on: finished trainings are never done again, others
continue where they were. Figures are of the test that the settings name; a run that has only
others (scored again, with other views or clips) is refused. Exit code 1: a training failed; its
log is RUNS/logs/NAME.txt.

Example:
  specvid ablate --set data=MARS model=osnet_x0_25 epochs=10 --blocks snl nl gc --places conv3.-1
"""


@dataclass(frozen=True)
class AblateOptions(AblationConfig):
    """Options of ``specvid ablate``."""


_LISTS = ("--set", "--blocks", "--places", "--recipes", "--variants", "--seeds", "--metrics")


def defaults(words: list[str]) -> tuple[None, list[str]]:
    """Refuse lists without a value or given twice, which would train something else than was meant, without a word.

    Args:
        words: of the command line.

    Returns:
        No options to start from, and the words.

    Raises:
        ValueError: a list has no value, or stands there twice.
    """
    flags = [word.partition("=")[0] for word in words]
    if twice := next((flag for flag in _LISTS if flags.count(flag) > 1), None):
        raise ValueError(f"{twice} is given twice: the first one would be lost. Give all its values behind one.")
    for word, following in pairwise([*words, "--"]):
        if word in _LISTS and following.startswith("--"):
            raise ValueError(
                f"{word} has no value (a variable of the shell that is not set?): give one, or leave it out."
            )
    return None, words


def hint(flag: str, value: str) -> str:
    """What to say of a flag that is one of the trainings.

    Args:
        flag: as it was given.
        value: what stands behind it.

    Returns:
        A sentence; empty for any other flag.
    """
    from specvid.cli.train_action import TRAIN_ACTION
    from specvid.cli.train_reid import TRAIN_REID

    name = flag.removeprefix("--")
    if name in OWN or flag not in {*TRAIN_REID.flags(), *TRAIN_ACTION.flags()}:
        return ""
    return f" It is a setting of the trainings: give it as --set {name}={value or 'VALUE'}."


def run(options: AblateOptions) -> int:
    """Train what is missing, and print the table.

    Args:
        options: of the command line.

    Returns:
        The exit code: 1 where a training failed.
    """
    from specvid.cli.train_action import TRAIN_ACTION
    from specvid.cli.train_reid import TRAIN_REID
    from specvid.pipelines.ablate.alike import merge_alike
    from specvid.pipelines.ablate.check import check_trainings
    from specvid.pipelines.ablate.figures import check_figures
    from specvid.pipelines.ablate.grid import make_arms, resolve
    from specvid.pipelines.ablate.job import run_grid, unfinished
    from specvid.pipelines.ablate.plan import describe_plan
    from specvid.pipelines.ablate.table import describe, read_rows, write_tables
    from specvid.pipelines.engine.log import echo, status

    verb = TRAIN_REID if options.task == "reid" else TRAIN_ACTION
    arms, left_out = merge_alike(resolve(options, make_arms(options), verb.parse))
    for sentence in left_out:
        status(sentence)
    check_figures(options)
    if options.dry_run:
        check_trainings(options, unfinished(options, arms))
        echo(describe_plan(options, arms))
        return 0
    failed = {} if options.table_only else run_grid(options, arms)
    rows = read_rows(options, arms)
    is_empty = not any(row.values for row in rows)
    if is_empty and failed:
        status(f"nothing to tabulate: each training failed; what they printed is in {options.runs}/logs")
        return 1
    if is_empty:
        raise ValueError(f"runs {options.runs!r} holds no finished training of this grid yet.")
    files = write_tables(options, rows)
    echo(describe(options, rows))
    if files:
        status(f"written: {', '.join(map(str, files))}")
    return int(bool(failed))


ABLATE = Verb("ablate", HELP, AblateOptions, run, defaults=defaults, hint=hint)
"""The verb."""
