"""The grid of an ablation: blocks x places x recipes x variants of settings, each over the same seeds.

Light to import: the command line reads the settings.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from specvid.config import require_at_least, require_folder, to_dict
from specvid.models.insertion.grammar import split_blocks
from specvid.models.insertion.published import PLACEMENTS
from specvid.pipelines.ablate.effective import effective
from specvid.pipelines.ablate.placing import no_place

Settings = tuple[tuple[str, str], ...]
"""Settings of a training, name and value, as on its command line without the dashes."""

BLOCK_SETTINGS = frozenset({"block-lr", "gate-lr", "block-warmup"})
"""Settings that change nothing where there are no blocks."""

_OF_BLOCKS = frozenset({"blocks", *(name.replace("-", "_") for name in BLOCK_SETTINGS)})  # as a run saves them

LISTS = frozenset({"freeze", "lr-scale", "milestones"})
"""Settings of several values, which stand here with commas between them."""

OWN = frozenset({"blocks", "seed", "name", "runs", "recipe", "resume"})
"""Settings of a training that the grid gives."""

_ANSWERS = frozenset({"h", "help", "help-all"})
"""What prints something instead of training."""


@dataclass(frozen=True)
class AblationConfig:
    """An ablation: what is trained, and how often."""

    task: Literal["reid", "action"] = "reid"
    """What is trained: `specvid train TASK`."""
    set: tuple[str, ...] = ()
    """Settings of every training, name=value, as `specvid train TASK` has them: data=DIR freeze=conv1,conv2."""
    blocks: tuple[str, ...] = ()
    """Blocks: snl, nl(gate=0.1) ...; with a place of their own, snl@layer3.-1, or i3d_nln. The bare network is one."""
    places: tuple[str, ...] = ()
    """Where the blocks without a place of their own go: layer3.-1, layer3:5 ..."""
    recipes: tuple[str, ...] = ()
    """Recipes to start from; that of the model if none are given."""
    variants: tuple[str, ...] = ()
    """More settings, each a row of its own: "" or "block-lr=3 gate-lr=30"."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Every row is trained with each of them."""
    runs: str = "runs/ablation"
    """Folder of the runs and of the tables."""
    jobs: int | None = None
    """Trainings at a time; one for each core if not given."""
    table_only: bool = False
    """Train nothing: the table of what is finished."""
    dry_run: bool = False
    """Train nothing: the rows, how many trainings they are, and which are finished; data and networks are checked."""
    protocol: str = ""
    """Protocol of the figures; of MARS mars-ap if not given, else that of the data set."""
    metrics: tuple[str, ...] = ()
    """Figures of the table, the first decides; mAP and rank1, or top1 and mean_class, if not given."""

    def __post_init__(self) -> None:
        require_at_least(self, jobs=1)
        require_folder("runs", self.runs)
        if self.table_only and self.dry_run:
            raise ValueError("table_only and dry_run exclude each other: leave out one of them.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds {self.seeds}: give each seed once, and at least one; from 0.")
        for text in (*self.set, *(word for variant in self.variants for word in variant.split())):
            name, is_one, _ = text.partition("=")
            if not is_one or not name or name.startswith("-"):
                raise ValueError(f"setting {text!r} must read name=value, without dashes, e.g. lr=1e-3.")
            if name in _ANSWERS:
                raise ValueError(f"setting {text!r} is no setting: `specvid train {self.task} --{name}` prints them.")
            if name.replace("_", "-") in OWN:
                raise ValueError(f"setting {text!r}: the grid gives {name} itself (--help).")
        for words in (self.set, *map(str.split, self.variants)):
            names = [_setting(word)[0] for word in words]
            if twice := next((name for name in names if names.count(name) > 1), None):
                both = " and ".join(repr(word) for word, name in zip(words, names, strict=True) if name == twice)
                raise ValueError(
                    f"{both} are for one training, which has one {twice}. Give one; values to be compared are "
                    f"rows of their own: --variants {twice}=A {twice}=B."
                )
        for name in ("blocks", "places"):
            if not all(text.strip() for text in getattr(self, name)):
                raise ValueError(
                    f"{name} has an empty text (a variable of the shell that is not set?): leave it out. The bare "
                    f"network always takes part; without --blocks it is alone."
                )
        for name in ("blocks", "places", "recipes", "variants", "metrics"):
            values = getattr(self, name)
            if twice := next((value for value in values if values.count(value) > 1), None):
                raise ValueError(f"{name} has {twice!r} twice: give it once.")
        for block in self.blocks:
            if not _has_place(block) and not self.places:
                recipe = self.recipes[0] if self.recipes else ""
                lacking = next(part for part in split_blocks(block) if not _has_place(part))
                raise no_place(lacking, self.task, dict(map(_setting, self.set)), recipe)
        if self.places and all(map(_has_place, self.blocks)):
            why = "each of --blocks has a place of its own" if self.blocks else "there are no --blocks"
            raise ValueError(f"places {' '.join(self.places)}: no block goes there, for {why}. Leave --places out.")


@dataclass(frozen=True)
class Arm:
    """One row of an ablation: what its trainings have in common.

    Attributes:
        name: begins the names of its runs.
        blocks: inserted, in the grammar; empty for the bare network.
        recipe: to start from; empty for that of the model.
        settings: of all its trainings.
        variant: those of the settings that make it another row than others.
        resolved: all settings of a training, as its run saves them (`resolve`); that of the first seed.
        also: names of rows that were left out, for they are this one.
    """

    name: str
    blocks: str
    recipe: str
    settings: Settings
    variant: Settings
    resolved: Mapping[str, Any] = field(default_factory=dict, compare=False)
    also: tuple[str, ...] = field(default=(), compare=False)

    @property
    def title(self) -> str:
        """What messages call it: its blocks, recipe and variant, as the command line has them."""
        return " ".join(filter(None, [self.blocks or "bare", self.recipe, *map("=".join, self.variant)]))

    def run_name(self, seed: int) -> str:
        """Name of the run of a seed.

        Args:
            seed: the seed.

        Returns:
            A folder name.
        """
        return f"{self.name}-seed{seed}"

    def words(self, config: AblationConfig, seed: int) -> list[str]:
        """The command line of a training, after ``specvid``.

        Args:
            config: of the ablation.
            seed: of the training.

        Returns:
            Its words.
        """
        own = [("runs", config.runs), ("name", self.run_name(seed)), ("resume", "auto"), ("seed", str(seed))]
        own += [("recipe", self.recipe)] if self.recipe else []
        words = ["train", config.task, *(word for name, value in own for word in (f"--{name}", value))]
        for name, value in self.settings:
            flag = name.replace("_", "-")
            if value in ("true", "false"):
                words.append(f"--{flag}" if value == "true" else f"--no-{flag}")
            else:
                # "milestones=" is none of them
                words += [f"--{flag}", *(value.split(",") if value else [])] if flag in LISTS else [f"--{flag}", value]
        return [*words, f"--blocks={self.blocks}"]

    def is_baseline_of(self, other: "Arm") -> bool:
        """Whether another arm is this bare network with blocks, all else equal.

        Args:
            other: the other arm.

        Returns:
            True where it is.
        """
        if not self.blocks and other.blocks and self.resolved and other.resolved:  # also by another name
            own, others = (effective(arm.resolved, but=_OF_BLOCKS) for arm in (self, other))
            return own == others
        mine, theirs = (
            {name: value for name, value in arm.settings if name not in BLOCK_SETTINGS} for arm in (self, other)
        )
        return not self.blocks and bool(other.blocks) and self.recipe == other.recipe and mine == theirs


def make_arms(config: AblationConfig) -> list[Arm]:
    """The rows of an ablation, the bare network of each recipe and variant first.

    Args:
        config: the grid.

    Returns:
        The arms, each once: settings of blocks alone do not make another bare network.

    Raises:
        ValueError: a block stands twice at one place, or two arms would have one name.
    """
    common = dict(map(_setting, config.set))
    arms: dict[tuple[str, str, Settings], Arm] = {}  # by their variants: what --set has already is found by its name
    blocks = ["", *_placed(config.blocks, config.places)]
    if twice := next((block for block in blocks if blocks.count(block) > 1), None):
        raise ValueError(f"blocks has {twice!r} twice, once by --places: leave one of them out.")
    for recipe in config.recipes or ("",):
        for block in blocks:
            for text in config.variants or ("",):
                variant = tuple(map(_setting, text.split()))
                if not block:
                    variant = tuple(one for one in variant if one[0] not in BLOCK_SETTINGS)
                settings = tuple((common | dict(variant)).items())
                words = [block or "bare", recipe if len(config.recipes) > 1 else "", *(f"{n} {v}" for n, v in variant)]
                name = re.sub(r"[^\w.-]+", "-", " ".join(words)).strip("-")
                arms.setdefault((block, recipe, variant), Arm(name, block, recipe, settings, variant))
    rows = defaultdict(list)
    for arm in arms.values():
        rows[arm.name].append(repr(arm.title))
    for name, own in rows.items():
        if len(own) > 1:
            raise ValueError(f"rows {' and '.join(own)} would both have runs called {name!r}: leave one of them out.")
    return list(arms.values())


def resolve(config: AblationConfig, arms: Sequence[Arm], parse: Callable[[list[str]], Any]) -> list[Arm]:
    """Find all settings of the trainings of each row, so that a wrong one is known before anything is trained.

    Args:
        config: the grid.
        arms: its rows.
        parse: from the words of a command line after ``specvid train TASK`` to the config of the training.

    Returns:
        The rows, with their settings.

    Raises:
        ValueError: an unknown setting, or a value that does not fit.
    """
    return [replace(arm, resolved=to_dict(parse(arm.words(config, config.seeds[0])[2:]))) for arm in arms]


def _placed(blocks: Sequence[str], places: Sequence[str]) -> Iterator[str]:
    """Blocks with a place: their own, or each of the places."""
    for block in blocks:
        if _has_place(block):
            yield block
            continue
        for place in places:
            yield ", ".join(part if _has_place(part) else f"{part}@{place}" for part in split_blocks(block))


def _has_place(blocks: str) -> bool:
    """Whether all blocks say where they go: by a place, or as a published placement; the bare network need not."""
    return not blocks or all("@" in part or part in PLACEMENTS for part in split_blocks(blocks))


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.replace("_", "-"), value
