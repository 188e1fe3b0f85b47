"""What the verbs of ``specvid bench`` have in common: each prints what it measured."""

from collections.abc import Callable
from typing import Any

from specvid.cli.verb import Verb


def bench_verb(name: str, help: str, options: type, measure: Callable[[Any], str]) -> Verb:
    """The verb that prints what is measured.

    Args:
        name: its second word.
        help: what it prints when asked for help.
        options: dataclass of its options.
        measure: gives the text for these.

    Returns:
        The verb.
    """

    def run(given: Any) -> int:
        from specvid.pipelines.engine.log import echo

        echo(measure(given))
        return 0

    return Verb(f"bench {name}", help, options, run)
