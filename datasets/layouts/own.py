"""What own data have in common, whether in folders or in a table: parts, groups, and a test part that is split off."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, check_parts, hold_out
from specvid.datasets.layouts.base import check_split
from specvid.datasets.layouts.tables import SUFFIXES, read_table
from specvid.text import counted, path_on_one_line

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
SPLITS = 10  # where the test part is split off: as many draws

_PARTS = sorted(("c", "cl", "clip", "p", "part", "s", "seg", "scene", "piece"), key=len, reverse=True)
_BETWEEN = " _.()-"  # what stands around them


def make_set(
    title: str,
    classes: list[str],
    parts: Mapping[str, Sequence[VideoRecord]],
    *,
    split: int,
    groups: str,
    test_fraction: float,
    is_multilabel: bool = False,
    warnings: Sequence[str] = (),
) -> ActionSet:
    """An action set of own data.

    Args:
        title: what to call it.
        classes: their names.
        parts: the clips of ``train``, ``validation`` and ``test``.
        split: which draw of the test part, 1 to 10; 1 where the data bring a test part.
        groups: which clips are cut from one source, see `group_rule`; "" if the clips have groups, or there are none.
        test_fraction: share of the groups of each class to test on, where there is no test part.
        is_multilabel: a clip may have several classes, or none.
        warnings: what reading the lists gave.

    Returns:
        The set.

    Raises:
        ValueError: a wrong split or fraction, a group in two parts, or a rule that does not fit.
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction {test_fraction} must lie in [0, 1).")
    if groups:
        rule = group_rule(groups)
        parts = {
            name: [replace(r, group=g) for r, g in zip(records, rule([r.name for r in records]), strict=True)]
            for name, records in parts.items()
        }
    train, validation, test = (list(parts.get(name, ())) for name in ("train", "validation", "test"))
    if not train:
        raise ValueError(f"{title} has no clips to train on.")
    if test and test_fraction:
        raise ValueError(f"test_fraction {test_fraction} is given, but {title} has a test part: leave it out.")
    check_parts((train, validation, test), title)
    alone = [[record for record in records if not record.group] for records in (train, validation, test)]
    warnings = [*warnings, *_warn(*alone)]
    splits = SPLITS if test_fraction else 1
    check_split(split, splits, title)
    train, held_out = hold_out(train, test_fraction, seed=split)
    test = test or held_out
    counts = {"classes": (len(classes), None)}
    for name, records in (("train", train), ("validate", validation), ("test", test)):
        if records:
            counts[f"clips to {name} on"] = (len(records), None)
    return ActionSet(
        title=title,
        split=split,
        splits=splits,
        classes=classes,
        train=train,
        validation=validation,
        test=test,
        is_multilabel=is_multilabel,
        warnings=tuple(warnings),
        counts=counts,
    )


def groups_of_files(files: Sequence[tuple[str | os.PathLike[str], str]]) -> list[str]:
    """Clips of one file as one source, however the file is spelt and whatever links lead to it.

    Args:
        files: of each clip: its path, and what the source is called after it.

    Returns:
        For each clip the source of the first one of its file; "" where no other one is of it.
    """
    keys = [_file_key(path) for path, _ in files]
    counts, first = Counter(keys), dict[object, str]()
    for key, (_, name) in zip(keys, files, strict=True):
        first.setdefault(key, name)
    return [first[key] if counts[key] > 1 else "" for key in keys]


def _file_key(path: str | os.PathLike[str]) -> object:
    """What is the same for two paths of one file."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # it is not there, or no path
        return os.path.normpath(path)
    return state.st_dev, state.st_ino


def group_rule(groups: str) -> Callable[[Sequence[str]], list[str]]:
    """The rule that gives the sources which clips were cut from.

    Args:
        groups: a table (.csv, .tsv, .parquet) with the columns ``path`` and ``group``; or a regular expression that is
            searched for in the name of each clip, and whose first group in parentheses is the source. The settings of
            somebody else's run may bring one, so it is run by RE2, whose time grows with the length of the names alone.

    Returns:
        A function from the names of clips to their sources.

    Raises:
        ValueError: a table without these columns, or no regular expression with a group; the function raises it for a
            name that the table lacks or the expression does not find.
    """
    path = Path(groups)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        table = {str(row["path"]): str(row["group"]) for row in read_table(path, ("path", "group"), ())}

        def look_up(names: Sequence[str]) -> list[str]:
            if missing := next((name for name in names if name not in table), None):
                raise ValueError(f"{path} has no group for {missing!r}; every clip needs one.")
            return [table[name] for name in names]

        return look_up
    _check_expression(groups)

    def search(names: Sequence[str]) -> list[str]:
        import pyarrow as pa
        import pyarrow.compute as pc

        # bytes of names that are no text are escaped, which Arrow would refuse
        texts = pa.array([name.encode("utf-8", "backslashreplace").decode() for name in names], pa.string())
        found = pc.replace_substring_regex(texts, f"(?s:^.*?)(?:{groups})(?s:.*)$", r"\1").to_pylist()
        fits = pc.match_substring_regex(texts, groups).to_pylist()
        for name, group, fit in zip(names, found, fits, strict=True):
            if not fit or not group:
                raise ValueError(f"groups '{groups}' finds nothing in {name!r}; the rule must fit every clip.")
        return found

    return search


def _check_expression(groups: str) -> None:
    """Refuse what is no regular expression with a group, of those that RE2 runs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), groups)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise ValueError(
            f"groups '{groups}' is neither a table that is there nor a regular expression of RE2, which has no "
            f"look-ahead, look-behind and back references ({str(error).splitlines()[0]})."
        ) from None
    try:
        pc.replace_substring_regex(pa.array([""]), groups, r"\1")
    except pa.ArrowInvalid:
        raise ValueError(
            f"groups '{groups}' has no part in parentheses, e.g. '(.*)_clip'; or it names no table that is there."
        ) from None


def _warn(train: list[VideoRecord], validation: list[VideoRecord], test: list[VideoRecord]) -> tuple[str, ...]:
    """A warning where names look like parts of one source that are, or may come, on both sides of a split."""
    sources: dict[tuple[int, str], dict[str, list[str]]] = defaultdict(dict)
    per_class: dict[int, set[str]] = defaultdict(set)
    for part, records in (("train", train), ("validation", validation), ("test", test)):
        for record in records:
            source = _source(_stem(record.name))
            sources[record.label, source].setdefault(part, []).append(record.name)
            per_class[record.label].add(source)
    # Numbers alone (clip1, clip2 ...) mean nothing: a class needs two sources, one of them with several clips.
    splittable = [
        list(parts.values())
        for (label, _), parts in sources.items()
        if sum(map(len, parts.values())) > 1 and len(per_class[label]) > 1 and (not test or len(parts) > 1)
    ]
    if not splittable:
        return ()
    names_of = {source: [name for names in parts.values() for name in names] for source, parts in sources.items()}
    largest = max(splittable, key=lambda parts: sum(map(len, parts)))
    examples = [name for names in zip_longest(*largest) for name in names if name][:2]  # of two parts where there are
    rule = _rule(examples, names_of) or "and a table of path and group (no simple expression fits all clips)"
    return (
        f"clips look like parts of one source by their names, e.g. {' and '.join(map(path_on_one_line, examples))} "
        f"({counted(len(splittable), 'such source')}). If they are, training on some and testing on others gives far "
        f"too high a score: name the sources with --groups {rule}, and all clips of one stay on one side.",
    )


def _rule(examples: list[str], sources: Mapping[tuple[int, str], Sequence[str]]) -> str:
    """A rule for --groups that finds the source of every clip, in quotes; "" where no simple one does.

    Args:
        examples: names of two clips of one source.
        sources: the names of all clips by class and source.
    """
    marks = set(map(_mark, examples))
    mark = re.escape(marks.pop()) if len(marks) == 1 else ""
    if not mark:
        return ""
    # With the folders of a clip before its own name; where a source lies in several folders, without them.
    strict = [f"({own}*){mark}[0-9]" for own in (".", "[^/]")]
    loose = [f"({own}*?)({mark}[0-9]+)?([.][^./]*)?$" for own in (".", "[^/]")]  # also names without the mark
    return next((f"'{rule}'" for rule in (*strict, *loose) if "'" not in rule and _fits(rule, sources)), "")


def _fits(rule: str, sources: Mapping[tuple[int, str], Sequence[str]]) -> bool:
    """Whether a rule gives every clip a source: all of one the same, and those of others another."""
    find, source_of = group_rule(rule), dict[str, str]()
    for (_, source), names in sources.items():
        try:
            found = set(find(names))
        except ValueError:
            return False
        # Clips whose names differ by a number alone may be of one source or not.
        if len(found) > 1 and all(map(_mark, names)):
            return False
        if any(source_of.setdefault(group, source) != source for group in found):
            return False
    return True


def _mark(name: str) -> str:
    """What stands before the number at the end of a clip's name, e.g. ``_clip``."""
    stem = _stem(name)
    return stem[len(_source(stem)) :].rstrip("0123456789)")


def _stem(name: str) -> str:
    """The name of a clip without folders and suffix."""
    return os.path.splitext(name.rpartition("/")[2])[0]  # pathlib takes seconds for 100,000


def _source(stem: str) -> str:
    """What a clip is cut from, by its name: the name without a number at its end, and what says "clip" before it."""
    head = stem.removesuffix(")")
    digits = len(head)
    while digits and head[digits - 1].isdecimal():
        digits -= 1
    if digits == len(head):  # no number
        return stem
    bare = head[:digits].rstrip(_BETWEEN)
    ends = [(digits, len(bare))]
    for part in _PARTS:
        if bare.lower().endswith(part):
            before = len(bare) - len(part)
            ends.append((before, len(bare[:before].rstrip(_BETWEEN))))
    # the shortest name that is left, of a letter at least
    left = min((max(1, least) for most, least in ends if most), default=1)
    return stem[:left] if left < len(head) else stem
