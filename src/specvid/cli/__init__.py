"""The command line: ``specvid VERB ...``. Each verb has a file of its own, imported only when it is called."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from specvid import __version__
from specvid.cli.verb import Verb, check_environment, ending_on_signals, plain_warnings, problem
from specvid.errors import LostProcessError, nearest
from specvid.text import shortened, without_controls

VERBS = {
    "train action": "train_action:TRAIN_ACTION",
    "eval action": "eval_action:EVAL_ACTION",
    "train reid": "train_reid:TRAIN_REID",
    "eval reid": "eval_reid:EVAL_REID",
    "train pretrain": "train_pretrain:TRAIN_PRETRAIN",
    "predict": "predict:PREDICT",
    "embed": "embed:EMBED",
    "embed delete": "embed:DELETE",
    "embed export": "embed:EXPORT",
    "search build": "search:BUILD",
    "search query": "search:QUERY",
    "search duplicates": "search:DUPLICATES",
    "browse": "browse:BROWSE",
    "eval embeddings": "embed:EVAL_EMBEDDINGS",
    "report": "report:REPORT",
    "ablate": "ablate:ABLATE",
    "export": "export:EXPORT",
    "models": "models:MODELS",
    "models show": "models:SHOW",
    "models blocks": "blocks:BLOCKS",
    "data check": "data:CHECK",
    "data prepare": "data:PREPARE",
    "data shrink": "data:SHRINK",
    "data synthesize": "data:SYNTHESIZE",
    "bench loader": "bench.loader:LOADER",
    "bench model": "bench.model:MODEL",
    "bench blocks": "bench.blocks:BLOCKS",
    "bench reid": "bench.reid:REID",
    "bench embed": "bench.embed:EMBED",
    "bench search": "bench.search:SEARCH",
    "bench start": "bench.start:START",
    "bench all": "bench.all:ALL",
    "demo": "demo:DEMO",
}

HELP = """\
specvid: spectral nonlocal blocks for video

  specvid data synthesize ucf101 DIR   a small synthetic video data set in UCF-101's layout
  specvid data check ucf101 DIR        verify a data set: counts, files, lists
  specvid data prepare ucf101 ...      unpack the archives as they are distributed
  specvid data shrink DIR OUT          re-encode a data set once, to train faster
  specvid train action ...             train an action recogniser, with or without blocks
  specvid eval action ...              score a run on a test list: top-1, top-5, per class
  specvid train reid ...               train a person re-identifier, with or without blocks
  specvid eval reid ...                mAP, mINP, CMC of runs or features, under a named protocol
  specvid train pretrain ...           train on videos without labels: weights to start from
  specvid predict VIDEO... ...         name what happens in video files
  specvid embed VIDEO... ...           from videos to a Parquet data set of embeddings
  specvid search build|query DIR       an index over embeddings; what is most like a video
  specvid browse DIR...                a local page: search by example, filters, a map of embeddings
  specvid eval embeddings DIR          nearest-neighbour accuracy of embeddings
  specvid export RUN ...               a model as one file for other programs: ONNX, torch.export
  specvid report RUN...                a table over runs: mean and deviation over seeds
  specvid ablate ...                   does a block help? a grid of trainings and its paired table
  specvid models [show NAME|blocks]    backbones, their cost; where blocks can go; all blocks
  specvid bench WHAT                   speed, beside what it must beat: loader, model, blocks, reid, ...
  specvid demo                         the main job on synthetic data, in minutes on a CPU

  specvid VERB --help                  one verb, with an example; --help-all: every option

Example:
  specvid data synthesize ucf101 synthetic
  specvid train action --data synthetic --model r3d_tiny --blocks "snl@layer2.-1" --name first
  specvid predict synthetic/videos/*/*_g01_c01.avi --run runs/first
"""


def group_help(group: str) -> str:
    """What ``specvid GROUP --help`` prints.

    Args:
        group: The first word, for example ``train``.

    Returns:
        The help of a word that several verbs begin with; empty for any other.
    """
    names = [name for name in VERBS if name.startswith(f"{group} ")]
    rows = [(name, find(name.split())[0].help.splitlines()[0].partition(": ")[2]) for name in names]
    width = max((len(name) for name in names), default=0)
    lines = [
        f"specvid {group} needs a second word:",
        "",
        *(f"  specvid {name:<{width}}  {text}" for name, text in rows),
    ]
    return (
        "\n".join([*lines, "", f"`specvid {names[0]} --help` shows one of them, with an example.", ""]) if names else ""
    )


def find(words: Sequence[str]) -> tuple[Verb, list[str]]:
    """The verb that a command line begins with.

    Args:
        words: The command line, without ``specvid``.

    Returns:
        The verb, and the words after it.

    Raises:
        ValueError: No verb is called that.
    """
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in VERBS:
            module, attribute = VERBS[name].split(":")
            return getattr(importlib.import_module(f"{__name__}.{module}"), attribute), list(words[length:])
    second = [name.split()[1] for name in VERBS if name.split()[0] == words[0] and " " in name]
    if second and (len(words) == 1 or words[1].startswith("-")):
        raise ValueError(
            f"{words[0]} needs to know what: {', '.join(f'`specvid {words[0]} {name}`' for name in second)}."
        )
    given = " ".join(words[:2]) if second else words[0]
    choices = [name for name in VERBS if name.split()[0] == words[0]] if second else list(VERBS)
    firsts = sorted({name.split()[0] for name in choices})
    guess = nearest(given, choices if second else firsts) or nearest(given, choices)
    raise ValueError(f"verb {given!r} is unknown.{guess} Verbs: {', '.join(choices)}.")


def run(argv: Sequence[str]) -> int:
    """Run a command line.

    Args:
        argv: The command line, without ``specvid``.

    Returns:
        The exit code. 0: all went well; 1: part of it failed, or another process of the job ended; 2: it asked for
        something wrong; 130 or 143: a signal ended it.
    """
    words = list(argv)
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            sys.stdout.write(HELP)
            return 0
        if words[0] in ("--version", "-V"):
            sys.stdout.write(f"specvid {__version__}\n")
            return 0
        if words[1:] in (["-h"], ["--help"]) and words[0] not in VERBS and group_help(words[0]):
            sys.stdout.write(group_help(words[0]))
            return 0
        verb, rest = find(words)
        check_environment()
        with ending_on_signals(verb.stopped), plain_warnings():
            return verb(rest)
    except KeyboardInterrupt as error:
        sys.stderr.write(f"\nspecvid: {str(error) or 'stopped'}\n")
        return 128 + getattr(error, "number", signal.SIGINT)  # the usual codes: 130 for SIGINT, 143 for SIGTERM
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        text = problem(error)
        if text is None or os.environ.get("SPECVID_DEBUG"):
            raise
        sys.stderr.write(f"specvid: {shortened(without_controls(text))}\n")
        return 1 if isinstance(error, LostProcessError) else 2
