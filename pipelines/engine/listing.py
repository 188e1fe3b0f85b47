"""What a training was given, item by item: the run keeps it, since folders grow, and clips change sides and classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specvid.files import write_json
from specvid.pipelines.engine.config import ClipsConfig
from specvid.reading import read_json
from specvid.text import counted, path_on_one_line

LISTING = "lists.json"
LEARNED = ("train", "validation")  # what decides the weights, or which of them are kept

Item = Mapping[str, Any]
"""What is known of an item besides its name: ``label``, and where it has them ``group`` and ``weight``."""


@dataclass(frozen=True)
class Listing:
    """The items of a training by the name of their part.

    Args:
        items: what they are: clips or tracklets.
        classes: in the order of the classifier's outputs; empty where there is none.
        parts: for each part, each item by its name.
        inherited: items to test on that the weights it began with were trained on.
    """

    items: str
    classes: Sequence[str] = ()
    parts: Mapping[str, Mapping[str, Item]] = field(default_factory=dict)
    inherited: Sequence[str] = ()

    @property
    def learned(self) -> set[str]:
        """Names of the items that were trained or validated on."""
        return {name for part in LEARNED for name in self.parts.get(part, ())}.union(self.inherited)

    def sources(self, part: str) -> set[str]:
        """What the items of a part are cut from.

        Args:
            part: its name.

        Returns:
            Their groups; of an item without one, its name.
        """
        return {str(about.get("group") or name) for name, about in self.parts.get(part, {}).items()}

    def save(self, folder: Path) -> None:
        """Write lists.json.

        Args:
            folder: of the run.
        """
        parts = {part: {name: dict(about) for name, about in own.items()} for part, own in self.parts.items()}
        about = {"items": self.items, "classes": list(self.classes), "inherited": list(self.inherited)}
        write_json(folder / LISTING, {**about, "parts": parts})


def load_listing(folder: Path) -> Listing | None:
    """Read lists.json.

    Args:
        folder: of the run.

    Returns:
        What the run was given; None of a run that kept no lists.

    Raises:
        ValueError: the file is damaged, or was altered.
    """
    path = folder / LISTING
    if not path.exists():
        return None
    content = read_json(path)
    items, classes, parts = (content.get(name) for name in ("items", "classes", "parts"))
    is_sound = isinstance(items, str) and isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    inherited = content.get("inherited", [])
    is_sound = is_sound and isinstance(inherited, list) and all(isinstance(name, str) for name in inherited)
    is_sound = is_sound and isinstance(parts, dict) and all(map(_is_part, parts.values()))
    if not is_sound:
        raise ValueError(f"{str(path)!r} holds no lists of a training: it was altered. Remove it, or train anew.")
    return Listing(str(items), list(classes or ()), dict(parts or {}), inherited)


def listing_of_weights(weights: str, clips: ClipsConfig) -> Listing | None:
    """What weights were trained on, where they are those of a run on the same data.

    Args:
        weights: as ``--weights`` takes them.
        clips: the data now.

    Returns:
        The lists of that run; None of other weights, other data, or a run that kept no lists.

    Raises:
        ValueError: they were altered.
    """
    folder = Path(weights).parent.parent if weights else Path()
    if not weights or not (folder / LISTING).is_file() or not (folder / "config.json").is_file():
        return None
    before = read_json(folder / "config.json").get("clips")
    if not isinstance(before, dict) or not isinstance(before.get("data"), str):
        return None
    is_same = before.get("dataset") == clips.dataset and Path(before["data"]).resolve() == Path(clips.data).resolve()
    return load_listing(folder) if is_same else None


def _is_part(part: object) -> bool:
    return isinstance(part, dict) and all(isinstance(about, dict) for about in part.values())


def check_listing(folder: Path, before: Listing, now: Listing, *, fix: str) -> str:
    """Compare what a run was started with and what the data are now.

    Args:
        folder: of the run.
        before: what it was started with.
        now: what a continued training would be given.
        fix: how else to go on.

    Returns:
        A warning where only the test part is another, which trains nothing; "" where all is the same.

    Raises:
        ValueError: other classes, or other items to train or to validate on: the training would not be the same, and
            might mistake one class for another.
    """
    run = f"run {str(folder)!r}"
    if list(before.classes) != list(now.classes):
        raise ValueError(
            f"{run} was started with {_classes(before.classes)}; the data have {_classes(now.classes)} now"
            f"{_others(before.classes, now.classes)}. The network's outputs would be taken for other classes: let the "
            f"data be as they were, or {fix}"
        )
    for part in LEARNED:
        if changed := _changed(before.parts.get(part, {}), now.parts.get(part, {})):
            raise ValueError(
                f"{run} was started with other {now.items} in the {part} part: {changed}. Let the data be as they "
                f"were, or {fix}"
            )
    changed = _changed(before.parts.get("test", {}), now.parts.get("test", {}))
    return f"the test part is another than when the run was started: {changed}" if changed else ""


def _changed(before: Mapping[str, Item], now: Mapping[str, Item]) -> str:
    """How a part differs from what it was, in words; "" where it does not."""
    new, gone = now.keys() - before.keys(), before.keys() - now.keys()
    other = [name for name in now.keys() & before.keys() if _decisive(now[name]) != _decisive(before[name])]
    found = [(new, "more"), (gone, "no longer in it"), (other, "with another class or weight")]
    return "; ".join(f"{len(names)} {what}, e.g. {path_on_one_line(min(names))}" for names, what in found if names)


def _decisive(about: Item) -> tuple[Any, Any]:
    """What of an item changes a training."""
    return about.get("label"), about.get("weight", 1.0)


def _classes(names: Sequence[str]) -> str:
    few = ", ".join(path_on_one_line(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the {counted(len(names), 'class')} {few}{more}"


def _others(before: Iterable[str], now: Iterable[str]) -> str:
    """Which classes are new, and which are gone."""
    new, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    words = [
        f"{what}: {', '.join(map(path_on_one_line, names[:5]))}{' ...' if len(names) > 5 else ''}"
        for what, names in (("new", new), ("gone", gone))
        if names
    ]
    return f" ({'; '.join(words)})" if words else " (in another order)"
