"""``specvid browse``."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.config import require_at_least

HELP = """\
specvid browse: a local page over embeddings: search by example, filters, a map

  DIR [DIR ...]           folders that `specvid embed --out` wrote, of one network
  --port 8008             0: any free one
  --host 127.0.0.1        only this machine sees it; another address is open to whoever reaches it
  --no-open               do not open it in the browser
  --no-map                no map; --map-rows 10000: most rows on it, evenly spaced
  --run RUN, --weights FILE   where the network lies now, if it moved
  --trust                 build it even where it names code of somebody else (mmaction2's configs)
  --device cpu|cuda       where uploads are embedded and the map is computed

Upload a clip or the images of a tracklet, or pick a row; the nearest rows play. Filter by columns.
The map (UMAP) is kept beside the embeddings, and computed anew when rows changed; colour it by a
column, select two regions, and see in what they differ. Needs `pip install 'specvid[app]'`;
nothing is fetched from the network. All about it: docs/browse.md.

Example:
  specvid browse emb
"""


@dataclass(frozen=True)
class BrowseOptions:
    """Options of ``specvid browse``."""

    folders: Positional[tuple[str, ...]] = ()
    """Folders of embeddings."""
    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 8008
    """Port to listen at."""
    open: bool = True
    """Open the page in the browser."""
    map: bool = True
    """Show the map."""
    map_rows: int = 10_000
    """Most rows on the map."""
    run: str = ""
    """Folder of the run, if it moved."""
    weights: str = ""
    """File of the weights, if it moved."""
    trust: bool = False
    """Build the network even where the data set or the run names code of somebody else, which then runs."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self, map_rows=1)


def run(options: BrowseOptions) -> int:
    """Serve the page until Ctrl-C."""
    from specvid.cli.search import moved_network
    from specvid.pipelines.browse.app import create_app, static_files
    from specvid.pipelines.browse.browser import Browser
    from specvid.pipelines.browse.map import open_map
    from specvid.pipelines.browse.serving import open_socket, serve
    from specvid.pipelines.browse.sets import open_sets
    from specvid.pipelines.engine.devices import select_device
    from specvid.pipelines.engine.log import status

    static_files()  # says at once where the extra is missing
    sets = open_sets(options.folders)
    network = moved_network(options.folders[0], options.run, options.weights, trust=options.trust)
    with open_socket(options.host, options.port) as listening:
        points = None
        if options.map:
            device = select_device(options.device, local_rank=0)
            points = open_map(sets, most=options.map_rows, device=device, echo=status)
        with Browser(sets, points, device=options.device, network=network, trusted=options.trust) as browser:
            local = options.host in ("127.0.0.1", "localhost", "::1")
            app = create_app(browser) if local else create_app(browser, hosts=("*",))
            serve(app, listening, show=options.open, echo=status)
    return 0


BROWSE = Verb("browse", HELP, BrowseOptions, run, stopped="the page is closed; the same command opens it again.")
