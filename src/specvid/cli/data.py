"""``specvid data check|prepare|shrink|synthesize``."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_share
from specvid.files import output_file
from specvid.text import counted, path_on_one_line

CHECK_HELP = """\
specvid data check: is a data set complete? Lists, counts, groups, names, and every file to its last frame

  DATASET DIR     ucf101, hmdb51, kinetics, something-v1, something-v2, diving48, jester;
                  mars, ilids-vid, prid2011; own data: folders, table (clips), tracklets
                  (persons); and the folder or table
  --groups G --test-fraction 0.2   of folders and table, as in specvid train action
  --fast          names only: nothing is opened
  --workers 2     processes that decode; one a core if not given
  --min-readable 0.9   share of the frames of a video that must decode
  --table OUT.csv      all problems and warnings, a row each; the first 20 of a kind are printed

Says by name what is missing or damaged; the exit code is then 1. Counts stand beside the published
ones. A set that is cut down to some of its classes or identities is accepted, and called so.

Example:
  specvid data check ucf101 synthetic --fast
"""

PREPARE_HELP = """\
specvid data prepare: unpack archives, as they are distributed, into the layout that specvid reads

  DATASET ARCHIVE [ARCHIVE ...]   the archives, or the folder that holds them:
      ucf101      UCF101.rar and the zip of the splits
      hmdb51      hmdb51_org.rar and test_train_splits.rar
      something-v1, jester   the parts 20bn-...-00 and so on, and the three .csv lists
      something-v2           the parts, and the zip of the labels
      diving48    Diving48_rgb.tar.gz and the .json lists
      mars        bbox_train.zip, bbox_test.zip, and info/ (MARS-evaluation-master.zip)
      ilids-vid   iLIDS-VID.tar
      prid2011    prid_2011.zip, and --splits FILE: the ten splits as JSON, which it does not bring
  --out DIR                       where the data set shall lie

Kinetics needs none: unpack its archives anywhere below one folder, and put the lists beside them.
What is unpacked already stays as it is. A .rar needs bsdtar, unar or unrar.

Example:
  specvid data prepare ucf101 downloads --out ucf101
"""

SHRINK_HELP = """\
specvid data shrink: re-encode a data set once, so that clips are read faster in every training after

  DIR OUT            the data set, and the copy: the same names, folders and lists
  --short-side 160   px; smaller pictures stay as they are
  --gop 12           frames from one key frame to the next: a clip decodes fewer frames it does not need
  --workers 2        processes; one a core if not given

Sound is left out, pictures are turned as players show them. Started again, it goes on where it was
killed. Prints bytes and clips per second before and after. A video that cannot be read is copied as
it is and named; the exit code is then 1.

Example:
  specvid data shrink synthetic smaller --short-side 32
"""

SYNTHESIZE_HELP = """\
specvid data synthesize: a small data set of real files, in the layout of the real one

Classes depend on how two far-apart things relate (actions), or identities are known by gait alone.

  DATASET DIR     ucf101, hmdb51, kinetics, something-v1, something-v2, diving48, jester, folders
                  or table (actions); mars, ilids-vid, prid2011 or tracklets; and the folder to write
  relation DIR --from UCF101   films of two real clips each, in far corners at different times: do both
                  show the same action? As folders; --of hmdb51: the layout of what they come from;
                  --size 128 --tile 48: sides of a film and of a clip in it, px; --scenes: 4 or more
  --scenes 14     size of a set of actions: 100 clips a scene in ucf101, 4 in others
  --identities 8  size of the others; mars and tracklets also have
  --tracklets 4   tracklets of each identity
  --seed 0        the same seed gives the same files
  --overwrite     replace a set that was made with other settings

A clip, film or tracklet has 16 frames: `specvid train action --frames 8 --stride 2` sees nearly all.

Examples:
  specvid data synthesize ucf101 synthetic --scenes 2
  specvid data synthesize relation films --from UCF101 --scenes 8
"""


@dataclass(frozen=True)
class CheckOptions:
    """Options of ``specvid data check``."""

    dataset: Positional[str] = ""
    """Layout."""
    folder: Positional[str] = ""
    """The data set."""
    fast: bool = False
    """Names only."""
    workers: int | None = None
    """Processes that decode."""
    groups: str = ""
    """Own clips: which are cut from one source."""
    test_fraction: float = 0.0
    """Own clips without a test part: share of each class's groups to test on."""
    min_readable: float = 0.9
    """Share of the frames of a video that must decode."""
    table: str = ""
    """CSV file that gets all problems and warnings."""

    def __post_init__(self) -> None:
        require_share(self.min_readable)
        if self.table:
            output_file("table", self.table)


@dataclass(frozen=True)
class PrepareOptions:
    """Options of ``specvid data prepare``."""

    dataset: Positional[str] = ""
    """Layout."""
    archives: Positional[tuple[str, ...]] = ()
    """Archives, or folders with them."""
    out: str = ""
    """Where the data set shall lie."""
    splits: str = ""
    """JSON file of the splits, for a set that comes without."""


@dataclass(frozen=True)
class ShrinkOptions:
    """Options of ``specvid data shrink``."""

    folder: Positional[str] = ""
    """The data set."""
    out: Positional[str] = ""
    """The copy."""
    short_side: int = 160
    """Short side of the pictures, px."""
    gop: int = 12
    """Frames from one key frame to the next."""
    workers: int | None = None
    """Processes that encode."""


@dataclass(frozen=True)
class SynthesizeOptions:
    """Options of ``specvid data synthesize``."""

    dataset: Positional[str] = ""
    """Layout."""
    folder: Positional[str] = ""
    """The folder to write."""
    scenes: int | None = None
    """Size of a set of actions: 100 clips a scene in ucf101, 4 in the others."""
    identities: int | None = None
    """Size of the re-identification sets."""
    tracklets: int | None = None
    """Size of mars and tracklets: tracklets of each identity."""
    from_: Annotated[str, tyro.conf.arg(name="from")] = ""
    """Of relation: the real set that films are composed of."""
    of: str = ""
    """Its layout; ucf101 if not given."""
    size: int | None = None
    """Of relation: sides of a film, px."""
    tile: int | None = None
    """Of relation: sides of a clip in it, px."""
    seed: int = 0
    overwrite: bool = False
    """Replace a set that was made with other settings."""


def _check(options: CheckOptions) -> int:
    from specvid.pipelines.engine.log import console, echo
    from specvid.tools.data.check import check

    folder = _given("DIR", options.folder) if options.dataset else ""
    report = check(
        options.dataset,
        folder,
        fast=options.fast,
        workers=options.workers,
        progress=console.is_terminal,
        groups=options.groups,
        test_fraction=options.test_fraction,
        min_readable=options.min_readable,
    )
    echo("\n".join(report.lines))
    if options.table:
        report.write(output_file("table", options.table))
        echo(f"all of them: {path_on_one_line(options.table)}")
    return report.exit_code


def _prepare(options: PrepareOptions) -> int:
    from specvid.pipelines.engine.log import echo
    from specvid.tools.data.prepare import prepare

    archives, out = _given("ARCHIVE", options.archives), _given("--out DIR", options.out)
    report = prepare(options.dataset, archives, out, splits=options.splits or None, echo=echo)
    echo("\n".join(report.lines))
    return report.exit_code


def _shrink(options: ShrinkOptions) -> int:
    from specvid.pipelines.engine.log import console, echo
    from specvid.tools.data.shrink import ShrinkConfig, shrink

    folder, out = _given("DIR", options.folder), _given("OUT", options.out)
    config = ShrinkConfig(short_side=options.short_side, gop=options.gop)
    report = shrink(folder, out, config, workers=options.workers, progress=console.is_terminal)
    before, after = report.bytes_before / 2**20, report.bytes_after / 2**20
    sizes = f"{before:,.1f} -> {after:,.1f} MiB"
    others = counted(report.others, "other file")
    echo(f"{out}: {counted(report.videos, 'video')} re-encoded (now or before), {sizes}; {others}")
    if report.bytes_after > report.bytes_before:
        echo("warning: it is larger than before: these videos are small already, or a smaller --short-side is needed")
    if report.videos:
        rates = " -> ".join(f"{rate:.1f}" for rate in report.clips_per_s)
        echo(f"reading clips of 16 frames: {rates} clips/s ({report.speed_up:.2f} times, one thread, side by side)")
    for problem in list(report.problems.values())[:20]:
        echo(f"{'left out' if problem.endswith(': no such file') else 'copied as it is'}: {problem}")
    if len(report.problems) > 20:
        echo(f"likewise: {len(report.problems) - 20} more")
    return 1 if report.problems else 0


def _synthesize(options: SynthesizeOptions) -> int:
    from rich.progress import Progress

    from specvid.datasets.synthetic import SYNTHESIZERS
    from specvid.pipelines.engine.log import console, echo

    write, folder = SYNTHESIZERS.find(options.dataset), _given("DIR", options.folder)
    settings = _options(write, options, "scenes", "identities", "tracklets", "from_", "of", "size", "tile")
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("writing")
        made = write(
            folder,
            **settings,
            seed=options.seed,
            overwrite=options.overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    there = "" if made.written else "; they were there already, made alike"
    echo(f"{made.root}: {made.contents} ({counted(made.files, 'file')}{there})")
    return 0


def _options(function: Callable[..., Any], options: Any, *names: str) -> dict[str, Any]:
    """Those of the options that were given. Raises ValueError for one that this data set does not have."""
    given = {name: getattr(options, name) for name in names if getattr(options, name) not in (None, "")}
    known = inspect.signature(function).parameters
    for name in given:
        if name not in known:
            raise ValueError(f"--{name.rstrip('_')} is no option of {options.dataset}. See --help.")
    return given


def _given(what: str, value: Any) -> Any:
    if not value:
        raise ValueError(f"{what} is not given. See --help for an example.")
    return value


CHECK = Verb("data check", CHECK_HELP, CheckOptions, _check)
STOPPED = "what is unpacked stands; the same command goes on."
PREPARE = Verb("data prepare", PREPARE_HELP, PrepareOptions, _prepare, stopped=STOPPED)
SHRINK = Verb("data shrink", SHRINK_HELP, ShrinkOptions, _shrink)
SYNTHESIZE = Verb("data synthesize", SYNTHESIZE_HELP, SynthesizeOptions, _synthesize)
