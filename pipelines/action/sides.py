"""On which side of a split clips stand for a run that was trained before: folders grow, and files are moved."""

from dataclasses import replace
from typing import TypeVar

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.datasets.layouts.own import PARTS
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.engine.listing import LEARNED, Listing

Lists = TypeVar("Lists", ActionSet, ActionLists)


def keep_sides(lists: Lists, before: Listing) -> Lists:
    """Put each clip back on the side on which a run had it, where the test part is drawn anew as clips are added.

    Args:
        lists: as they are drawn now.
        before: what the run was given.

    Returns:
        The lists. What the run learned of is not tested on, nor are new clips of the same sources; what it was to be
        tested on still is; all else stands where it is drawn.
    """
    learned = before.learned.union(*map(before.sources, LEARNED))
    tested = before.sources("test").union(before.parts.get("test", {}))
    drawn = {record.name for record in lists.test}

    def is_tested(record: VideoRecord) -> bool:
        keys = {record.name, record.group or record.name}
        return not keys & learned and (record.name in drawn or bool(keys & tested))

    others: list[VideoRecord] = [*lists.train, *lists.test]
    return replace(
        lists,
        train=[record for record in others if not is_tested(record)],
        validation=[record for record in lists.validation if not is_tested(record)],
        test=[record for record in (*others, *lists.validation) if is_tested(record)],
    )


def learned_of(lists: ActionLists, before: Listing, *, same_place: bool) -> list[str]:
    """The clips of a test part that a run was trained or validated on.

    Args:
        lists: as they are now.
        before: what the run was given.
        same_place: the data lie where they lay: a file that is now in the folder of another part was moved.

    Returns:
        Their names.
    """
    learned = before.learned
    found = [record.name for record in lists.test if record.name in learned]
    if same_place:
        here = {_without_part(record.name) for record in (*lists.train, *lists.validation)}
        gone = {_without_part(name) for name in learned} - here
        known = learned.union(before.parts.get("test", {}))
        found += [r.name for r in lists.test if r.name not in known and _without_part(r.name) in gone]
    return found


def _without_part(name: str) -> str:
    """The name of a clip without the folder of its part."""
    first, _, rest = name.partition("/")
    return rest if rest and first in PARTS else name
