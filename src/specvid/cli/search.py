"""``specvid search build|query|duplicates``."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_share
from specvid.text import counted

if TYPE_CHECKING:
    from specvid.pipelines.networks.config import NetworkConfig

BUILD_HELP = """\
specvid search build: a FAISS index beside a data set of embeddings

  DIR                     the folder that `specvid embed --out` wrote
  --index flat            exact: every row is compared
  --index hnsw            a graph: quick, the vectors should fit into memory
  --index ivfpq           lists of codes: small; the best ones are compared exactly
  --recall 0.95           recall@10 up to which an approximate index is tuned

Parameters follow from the number of rows. The recall against the exact search is measured and
printed. Small sets need no index: `specvid search query` then compares every row, and so it does
with features.parquet of `specvid eval reid`.

Example:
  specvid search build emb --index hnsw
"""

QUERY_HELP = """\
specvid search query: what is most like a video, images, or a row of the data set

  DIR                     the folder that `specvid embed --out` wrote; or features.parquet of
                          `specvid eval reid`, with the name of a tracklet as ID
  VIDEO | IMAGES | ID     a file, a folder of images, several images of one thing, or an id of a row
  --text "a man swims"    or words, where the set's model has a text tower (clip:...)
  -k 10                   how many answers
  --where "camid != 3"    only rows for which this holds: == != < <= > >= in, and or not, is None,
                          contains(label, 'run'), startswith, endswith; recorded > '2024-01-31'
  --group-by path         only the best row of each video (or of each value of another column)
  --also DIR [DIR ...]    search these data sets of the same network too
  --cut FOLDER            write each answer as a clip, FOLDER/RANK_NAME_FIRST-LAST.mp4
  --min-readable 0.9      share of the frames of a query that must decode; others stand in
  --json                  JSON instead of a table
  --html PAGE             write a page with frames of each answer
  --run RUN, --weights FILE   where the network lies now, if it moved
  --trust                 build it even where it names code of somebody else (mmaction2's configs)
  --device cpu|cuda

Examples:
  specvid search query emb videos/one.mp4 -k 5 --html answer.html
  specvid search query emb videos/one.mp4 --where "label in ['run', 'walk'] and start_s < 60"
"""


DUPLICATES_HELP = """\
specvid search duplicates: inputs of a data set that are nearly the same

  DIR                     the folder that `specvid embed --out` wrote
  --threshold 0.99        least cosine of two rows that count as the same
  --where "camid != 3"    only among rows for which this holds, as of `specvid search query`
  --json                  JSON instead of a table

Rows that are linked by such pairs are one group; windows of one video are never duplicates of each
other. All pairs are compared. Nothing is deleted.

Example:
  specvid search duplicates emb --threshold 0.98
"""


@dataclass(frozen=True)
class BuildOptions:
    """Options of ``specvid search build``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    index: Literal["flat", "hnsw", "ivfpq"] = "flat"
    """Kind of index."""
    recall: float = 0.95
    """recall@10 that an approximate index is tuned to."""


@dataclass(frozen=True)
class QueryOptions:
    """Options of ``specvid search query``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    query: Positional[tuple[str, ...]] = ()
    """A video, images, or an id."""
    text: str = ""
    """Words, in place of a video."""
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 10
    """How many answers."""
    where: str = ""
    """A filter on columns."""
    json: bool = False
    """Print JSON."""
    group_by: str = ""
    """A column, of whose values each answers with its best row only."""
    also: tuple[str, ...] = ()
    """Further data sets of the same network."""
    cut: str = ""
    """Folder that gets each answer as a clip."""
    html: str = ""
    """Write a page."""
    run: str = ""
    """Folder of the run, if it moved."""
    weights: str = ""
    """File of the weights, if it moved."""
    min_readable: float | None = None
    """Share of the frames of a query that must decode; as the data set was made if not given."""
    trust: bool = False
    """Build the network even where the data set or the run names code of somebody else, which then runs."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        if self.min_readable is not None:
            require_share(self.min_readable)


@dataclass(frozen=True)
class DuplicatesOptions:
    """Options of ``specvid search duplicates``."""

    folder: Positional[str] = ""
    """Folder of embeddings."""
    threshold: float = 0.99
    """Least cosine of two rows that count as the same."""
    where: str = ""
    """A filter on columns."""
    json: bool = False
    """Print JSON."""


def build(options: BuildOptions) -> int:
    """Build an index; returns the exit code: 1 where the recall is not reached."""
    _require_folder(options.folder)

    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.search.build import build_index

    about = build_index(options.folder, options.index, recall=options.recall, echo=status)
    settings = ", ".join(f"{name} {value}" for name, value in {**about["build"], **about["search"]}.items())
    echo(
        f"{about['kind']} index of {counted(about['rows'], 'row')} x {about['dim']} in {options.folder}/index: "
        f"{settings + '; ' if settings else ''}recall@10 {about['recall@10']:.3f}, built in {about['build_seconds']} s"
    )
    return 1 if about["recall@10"] < options.recall else 0


def query(options: QueryOptions) -> int:
    """Search; returns the exit code."""
    _require_folder(options.folder)
    if options.query and options.text:
        raise ValueError(f"text {options.text!r} takes the place of {options.query[0]!r}: leave one of them out.")
    if not options.query and not options.text:
        raise ValueError(
            "nothing to search for is given: name a video, a folder of images, images, or an id after DIR; or --text."
        )

    from specvid.files import output_file, output_folder
    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.search.query import search
    from specvid.pipelines.search.report import as_text, write_page

    page = output_file("html", options.html) if options.html else None
    clips = output_folder("cut", options.cut) if options.cut else None
    answer = search(
        options.folder,
        options.query,
        text=options.text,
        k=options.k,
        where=options.where,
        group_by=options.group_by,
        also=options.also,
        device=options.device,
        network=moved_network(options.folder, options.run, options.weights, trust=options.trust),
        min_readable=options.min_readable,
        trusted=options.trust,
    )
    if page:
        write_page(answer, list(options.query) or [options.text], page)
    if options.json:
        print(json.dumps([row.to_dict() for row in answer.rows], indent=2, ensure_ascii=False, default=str))
    else:
        echo(as_text(answer))
    if answer.warning:
        status(f"warning: {answer.warning}")
    if not clips:
        return 0

    from specvid.pipelines.search.cutting import cut_clips

    files, problems = cut_clips(answer.rows, clips)
    status(f"{counted(len(files), 'clip')} in {options.cut}")
    for problem in problems:
        status(f"not cut: {problem}")
    return 1 if problems else 0


def duplicates(options: DuplicatesOptions) -> int:
    """Print what is nearly the same; returns the exit code."""
    _require_folder(options.folder)

    from specvid.pipelines.engine.log import echo, status
    from specvid.pipelines.search.duplicates import find_duplicates
    from specvid.pipelines.search.report import groups_as_text

    found = find_duplicates(options.folder, threshold=options.threshold, where=options.where, echo=status)
    if options.json:
        print(
            json.dumps(
                [[row.to_dict() for row in group] for group in found.groups], indent=2, ensure_ascii=False, default=str
            )
        )
    else:
        echo(groups_as_text(found))
    return 0


def _require_folder(folder: str) -> None:
    if not folder:
        raise ValueError("DIR is not given: name the folder that `specvid embed --out` wrote, or features.parquet.")


def moved_network(folder: str, run: str, weights: str, *, trust: bool) -> "NetworkConfig | None":
    """The network of a data set, found elsewhere.

    Args:
        folder: the data set.
        run: folder of the run, where it moved.
        weights: file of the weights, where it moved.
        trust: the network may be one that runs code of somebody else.

    Returns:
        Its settings; None where nothing moved.
    """
    moved: dict[str, Any] = {name: value for name, value in (("run", run), ("weights", weights)) if value}
    if not moved:
        return None
    import dataclasses

    from specvid.pipelines.embed.folder import Folder
    from specvid.pipelines.search.query_vector import embedding_config

    return dataclasses.replace(embedding_config(Folder(folder), trusted=trust).network, **moved)


STOPPED = "no index was written, an older one stands; the same command starts again."
BUILD = Verb("search build", BUILD_HELP, BuildOptions, build, stopped=STOPPED)
QUERY = Verb("search query", QUERY_HELP, QueryOptions, query, extra={"-k": ""})
DUPLICATES = Verb("search duplicates", DUPLICATES_HELP, DuplicatesOptions, duplicates)
