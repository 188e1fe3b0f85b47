"""``specvid models blocks``: what can be put into a network."""

import dataclasses
import json as json_
import textwrap
from dataclasses import dataclass

from tyro.conf import Positional

from specvid.cli.verb import Verb

HELP = """\
specvid models blocks: what can be put into a network, with its options and their defaults

  PATTERN     only names or kinds that have it in them, or that fit it where it has * or ?
  --json      as JSON

kinds: nonlocal, channel and long-range blocks and parts are inserted, convolutions replace those
of the network, sda wraps a stage. start is what a fresh one does to a trained network: identity or
exact (nothing), nearest (as little as it can), part (keeps some channels), changes. parameters are
of 256 channels in a video network, of a convolution of 3 x 3 x 3 positions, a stage of 3 blocks.

Example:
  specvid models blocks long-range
"""
WIDTH = 72  # of the options


@dataclass(frozen=True)
class BlocksOptions:
    """Options of ``specvid models blocks``."""

    pattern: Positional[str] = ""
    """Part of a name or kind, or a pattern with * and ?."""
    json: bool = False
    """Print JSON."""


def run(options: BlocksOptions) -> int:
    """Print the table."""
    from specvid.models.insertable import insertables
    from specvid.pipelines.engine.log import echo
    from specvid.text import to_text

    found = insertables(options.pattern)
    if options.json:
        echo(json_.dumps([dataclasses.asdict(one) for one in found], indent=2, default=str))
        return 0
    rows = [["name", "kind", "start", "parameters", "options"]]
    for one in found:
        text = ", ".join(f"{name}={value}" for name, value in one.options.items()) or "-"
        first, *more = textwrap.wrap(text, WIDTH)
        rows.append([one.name, one.kind, one.start, f"{one.parameters:,}", first])
        rows += [["", "", "", "", line] for line in more]
    echo(to_text(rows))
    return 0


BLOCKS = Verb("models blocks", HELP, BlocksOptions, run)
