"""``specvid models`` and ``specvid models show``."""

import dataclasses
import json as json_
from dataclasses import dataclass

from tyro.conf import Positional

from specvid.cli.verb import Verb
from specvid.modality import Modality

HELP = """\
specvid models: the backbones there are, what they cost, and where weights come from

  PATTERN     only names that have it in them, or that fit it where it has * or ?, e.g. "resnet*"
  --json      everything as JSON, with the addresses of the weights

GFLOPs are 10^9 multiply-adds of one clip of the size shown, from pixels to the embedding, as papers
count. `specvid models show NAME` prints one backbone's stages and where blocks can go, `specvid
models blocks` all blocks with their options.

Example:
  specvid models r3d
"""

SHOW_HELP = """\
specvid models show: the stages of a backbone with their shapes, and where blocks can go

  NAME                     a backbone, as `specvid models` lists them
  --blocks "snl@layer3.-1" inserts blocks, and marks them with +
  --conv "dcd@layer3"      replaces convolutions, and marks them with ~
  --frames T --size PX     the clip, if not the backbone's own
  --modality flow|rgb-diff what it sees: optical flow, or differences of frames

Example:
  specvid models show r3d_18 --blocks "snl@layer3.-1, nl@res3"
"""

FOOTNOTE = """\
licence: of the project that publishes the weights. torchvision adds that its pre-trained models may have their own
licences or terms, derived from the data sets they were trained on (ImageNet, Kinetics-400), and that whether you may
use them is yours to determine."""


@dataclass(frozen=True)
class ModelsOptions:
    """Options of ``specvid models``."""

    pattern: Positional[str] = ""
    """Part of a name, or a pattern with * and ?."""
    json: bool = False
    """Print JSON."""


def run(options: ModelsOptions) -> int:
    """Print the table of backbones."""
    from specvid.models.table import SCHEMES, clip_text, match_backbones, read_table
    from specvid.pipelines.engine.log import echo
    from specvid.text import to_text

    table = read_table()
    entries = [table.backbones[name] for name in match_backbones(options.pattern)]
    if options.json:
        echo(json_.dumps([dataclasses.asdict(one) for one in entries], indent=2))
        return 0
    rows = [["backbone", "kind", "parameters", "GFLOPs", "of a clip of", "vector", "weights", "trained on", "licence"]]
    for one in entries:
        kind = "per frame" if one.per_frame else "3D"
        row = [one.name, kind, f"{one.parameters / 1e6:.2f} M", f"{one.gmacs:.2f}", clip_text(one.input)]
        published = [[name, w.data, w.licence] for name, w in one.pretrained.items()] or [["-", "-", "-"]]
        rows.append([*row, str(one.features), *published[0]])
        rows += [[*[""] * (len(row) + 1), *more] for more in published[1:]]
    echo(to_text(rows))
    if not options.pattern:
        echo("\nalso, as SCHEME:NAME:")
        echo("\n".join(f"  {scheme}: {text}" for scheme, text in SCHEMES.items()))
        echo(f"\nblocks: {', '.join(table.blocks)}; parts: {', '.join(table.parts)}")
        echo(f"convolutions: {', '.join(table.convolutions)} (`specvid models blocks`: the options of all)")
    echo(f"\nGFLOPs: 10^9 multiply-adds of one clip, from pixels to the embedding.\n{FOOTNOTE}")
    return 0


@dataclass(frozen=True)
class ShowOptions:
    """Options of ``specvid models show``."""

    name: Positional[str] = ""
    """A backbone."""
    blocks: str = ""
    """Blocks to insert."""
    conv: str = ""
    """Convolutions to replace."""
    frames: int | None = None
    """Frames of the clip."""
    size: int | None = None
    """Its height and width, px."""
    modality: Modality | None = None
    """What is seen of a video: rgb (if not given), flow (optical flow), rgb-diff."""


def show(options: ShowOptions) -> int:
    """Print one backbone: its stages, and the places for blocks."""
    if not options.name:
        raise ValueError("NAME is not given: name a backbone; `specvid models` lists them.")

    from specvid.models.tree import describe
    from specvid.pipelines.engine.log import echo

    changes = {name: value for name in ("frames", "size", "modality") if (value := getattr(options, name)) is not None}
    echo(describe(options.name, blocks=options.blocks, conv=options.conv, input=changes))
    return 0


MODELS = Verb("models", HELP, ModelsOptions, run)
SHOW = Verb("models show", SHOW_HELP, ShowOptions, show)
