"""``specvid embed``, ``embed delete`` and ``eval embeddings``."""

import json
from dataclasses import dataclass, field
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.pipelines.embed.config import EmbedConfig
from specvid.text import counted

HELP = """\
specvid embed: from videos to a Parquet data set of embeddings

  VIDEO [VIDEO ...]         files, folders, "globs/**/*.mp4", a .txt list (`path` or `path label`), a
                            .csv / .parquet table with a path column (the others are carried over;
                            --encoding latin-1); a folder of images is a video, and so are rows
                            of a table that name images of one pid, camid, tracklet
  --out DIR                 writes DIR/embeddings/*.parquet and DIR/errors.parquet
  --run RUN                 a trained run; or --model NAME [--weights FILE] [--blocks "..."];
                            or --model FOLDER, what save_pretrained wrote
  --modality flow|rgb-diff  of --model: it sees optical flow, or differences of frames
  --trust                   also a run or folder that names code of somebody else (mmaction2's)
  --feature penultimate     or logits, or block:NAME (the mean of a module's output)
  --window full             the mean over all of the video, one row each
  --window uniform --clips 4            the mean of clips spread evenly
  --window sliding --length 2s --every 1s   a row for each window (s, or frames); --rows video pools
  --min-readable 0.9        share of a video's wanted frames that must decode; the nearest ones
                            stand in for the others, warnings.parquet says where
  --dtype fp32|fp16 --l2 --npz          what is written
  --device cuda --precision bf16 --batch-size 32 --workers 4
  --append                  add what is not in DIR yet, as shards of its own; an index grows along
  --retry-errors            do the shards again in which a file failed
  --engine ray --actors 8   on a Ray cluster; several GPUs: torchrun ... -m -- specvid embed ...

Killed at any moment and started again, it does only what is missing. The exit code is 1 where
files failed; errors.parquet says which and why. All about it: docs/embeddings.md.

Example:
  specvid embed videos/ --model r3d_18 --weights DEFAULT --window uniform --clips 4 --out emb
  specvid search query emb videos/one.mp4
"""


@dataclass(frozen=True)
class EmbedOptions:
    """Options of ``specvid embed``."""

    videos: Positional[tuple[str, ...]] = ()
    """Files, folders, globs, lists, tables."""
    out: str = ""
    """Folder to write."""
    path_column: str = "path"
    """Column of a table that names the file."""
    encoding: str = ""
    """Of lists and tables, e.g. latin-1; UTF-8 if not given."""
    config: EmbedConfig = field(default_factory=EmbedConfig)


def run(options: EmbedOptions) -> int:
    """Embed; returns the exit code: 1 where files failed."""
    if not options.out:
        raise ValueError("out is not given: --out DIR must name the folder to write.")

    from specvid.pipelines.embed.launch import embed
    from specvid.pipelines.engine.log import echo, status

    columns = {"path_column": options.path_column, "encoding": options.encoding}
    outcome = embed(options.videos, options.out, options.config, **columns, echo=status)
    if options.config.job.append and outcome.complete:
        from specvid.pipelines.search.build import extend_index

        extend_index(options.out, echo=status)
    echo(outcome.line())
    return 1 if outcome.failed else 0


DELETE_HELP = """\
specvid embed delete: take inputs out of a data set of embeddings

  DIR                     the folder that `specvid embed --out` wrote
  ID [ID ...]             inputs, as the column `id` names them
  --where "camid == 3"    inputs of which this holds for a row, as of `specvid search query`

Their ids are written down in DIR/deleted.parquet, then the shards that hold them are written
without, and an index is built anew. Killed at any moment, the same command goes on, also without
ID. What is deleted stays so: `specvid embed --append` does not add it again.

Example:
  specvid embed delete emb videos/one.mp4
"""


@dataclass(frozen=True)
class DeleteOptions:
    """Options of ``specvid embed delete``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    ids: Positional[tuple[str, ...]] = ()
    """Ids of inputs."""
    where: str = ""
    """A filter on columns."""


def delete(options: DeleteOptions) -> int:
    """Delete; returns the exit code."""
    if not options.folder:
        raise ValueError("DIR is not given: name the folder that `specvid embed --out` wrote.")

    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.search.build import rebuild_index
    from specvid.pipelines.search.deleting import delete

    done = delete(options.folder, options.ids, where=options.where, echo=status)
    rebuild_index(options.folder, echo=status)
    echo(str(done))
    return 0


EXPORT_HELP = """\
specvid embed export: a data set of embeddings for another program

  DIR                     the folder that `specvid embed --out` wrote
  --to lancedb --out DIR  a table of LanceDB, in the folder of a new database
  --to fiftyone           a data set of FiftyOne, in its own database
  --name embeddings       of the table, or the data set; there must be none of that name

All rows and all columns are handed over; the column `embedding` is the vector. In FiftyOne a row is
a sample: its path the media, a window a temporal detection, each column a field (id: input_id).
It appears when all of it is there. Needs `pip install 'specvid[lancedb]'` or 'specvid[fiftyone]'.

Examples:
  specvid embed export emb --to lancedb --out emb-lancedb
  specvid embed export emb --to fiftyone --name kitchen
"""


@dataclass(frozen=True)
class ExportOptions:
    """Options of ``specvid embed export``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    to: Literal["lancedb", "fiftyone"] = "lancedb"
    """The program."""
    out: str = ""
    """Folder to write; FiftyOne has its own place."""
    name: str = "embeddings"
    """Name of the table or the data set."""


def export(options: ExportOptions) -> int:
    """Hand a data set over; returns the exit code."""
    if not options.folder:
        raise ValueError("DIR is not given: name the folder that `specvid embed --out` wrote.")
    if not options.name.strip():
        raise ValueError(f"name is {options.name!r}: --name must name the table or the data set.")

    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.search.to_fiftyone import to_fiftyone
    from specvid.pipelines.search.to_lancedb import to_lancedb

    if options.to == "fiftyone":
        if options.out:
            raise ValueError(f"out is {options.out!r}, but FiftyOne keeps its data sets itself: leave out --out.")
        samples = to_fiftyone(options.folder, name=options.name, echo=status)
        echo(f"{counted(samples, 'sample')} in data set {options.name} of FiftyOne")
        return 0
    if not options.out:
        raise ValueError("out is not given: --out DIR must name the folder to write.")
    rows = to_lancedb(options.folder, options.out, table=options.name, echo=status)
    echo(f"{counted(rows, 'row')} in table {options.name} of {options.out}")
    return 0


EVAL_HELP = """\
specvid eval embeddings: how well embeddings tell classes apart, without training anything

  DIR                     the folder that `specvid embed --out` wrote
  --label COLUMN --group COLUMN   class of a row, and the source it was cut from; without them
                          both are read from UCF-101's file names (v_CLASS_gXX_cYY.avi)
  --json

Each row is given the class of its nearest neighbour (cosine) among the rows of all other groups:
clips that were cut from one film do not answer for each other. Inputs that failed are counted.

Example:
  specvid eval embeddings emb
"""


@dataclass(frozen=True)
class EvalOptions:
    """Options of ``specvid eval embeddings``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    label: str = ""
    """Column with the class."""
    group: str = ""
    """Column with the source."""
    json: bool = False
    """Print JSON."""


def evaluate(options: EvalOptions) -> int:
    """Score embeddings; returns the exit code."""
    if not options.folder:
        raise ValueError("DIR is not given: name the folder that `specvid embed --out` wrote.")

    from specvid.pipelines.embed.evaluate import evaluate
    from specvid.pipelines.engine.log import echo

    found = evaluate(options.folder, label=options.label, group=options.group)
    score = found.score
    if options.json:
        figures = {"accuracy": score.accuracy, "per_class": {str(k): v for k, v in score.per_class.items()}}
        counts = {"rows": found.rows, "groups": found.groups, "failed": found.failed, "hopeless": score.hopeless}
        echo(json.dumps({**figures, **counts}, indent=2, ensure_ascii=False))
        return 0
    for name, share in score.per_class.items():
        echo(f"{share:8.2%}  {name}")
    alone = (
        f", counted as wrong, for no other group has their class: {counted(score.hopeless, 'row')}"
        if score.hopeless
        else ""
    )
    failed = f", failed and not scored: {counted(found.failed, 'input')}" if found.failed else ""
    echo(
        f"{score.accuracy:8.2%}  leave-one-group-out nearest neighbour: {counted(found.rows, 'row')}, "
        f"{counted(found.groups, 'group')}, {counted(len(score.per_class), 'class')}{alone}{failed}"
    )
    return 0


STOPPED = "complete shards are saved; the same command does only what is missing."
EMBED = Verb("embed", HELP, EmbedOptions, run, stopped=STOPPED, flags_elsewhere={"--to": "embed export"})
DELETE = Verb("embed delete", DELETE_HELP, DeleteOptions, delete, stopped="the same command goes on.")
EXPORT = Verb("embed export", EXPORT_HELP, ExportOptions, export)
EVAL_EMBEDDINGS = Verb("eval embeddings", EVAL_HELP, EvalOptions, evaluate)
