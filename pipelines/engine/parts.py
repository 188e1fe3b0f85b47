"""Parts of a network by name: what stands still in a training, and what learns at a rate of its own."""

from collections.abc import Iterator, Sequence

from torch import nn

from specvid.errors import unknown
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel

PARTS = ("backbone", "blocks", "head")
"""Names that every network has: all before pooling that is not inserted, the inserted blocks, what follows pooling."""


def modules_of(model: VideoModel, place: str) -> list[nn.Module]:
    """The modules of a part.

    Args:
        model: the network.
        place: of `PARTS`; or a module of the backbone by its path or by its alias, as blocks are placed (``layer3``,
            ``res4.0``); or a module of the head (``head.classifier``).

    Returns:
        All modules in it, to be taken without their children. Inserted blocks belong to ``blocks`` alone.

    Raises:
        ValueError: there is no such part.
    """
    inserted = {inner for module in model.modules() if isinstance(module, InsertedBlock) for inner in module.modules()}
    if place == "blocks":
        return [module for module in model.modules() if module in inserted]
    tops = [model.head] if place == "head" else [model.backbone, *([model.tail] if model.tail is not None else [])]
    if place not in PARTS:
        tops = [_find(model, place)]
    return [module for top in tops for module in top.modules() if module not in inserted]


def freeze(model: VideoModel, places: Sequence[str]) -> None:
    """Let parts of a network stand still: no gradients, and norms and dropout as in evaluation (see `train_mode`).

    Where everything up to some layer is frozen, no gradient is computed there at all, which saves time and memory.

    Args:
        model: the network; it is changed.
        places: parts, see `modules_of`.

    Raises:
        ValueError: there is no such part, or nothing is left to train.
    """
    for place in places:
        for module in modules_of(model, place):
            module.is_frozen = True  # type: ignore[assignment]
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
    if places and not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"freeze {' '.join(places)}: nothing is left to train. Freeze less.")


def train_mode(model: nn.Module) -> None:
    """Put a network into training mode, what is frozen in it excepted: its statistics stay as they are, bit for bit.

    Args:
        model: the network; a wrapper of it (Fabric, DDP, torch.compile) will do.
    """
    model.train()
    for module in model.modules():
        if getattr(module, "is_frozen", False):
            module.training = False


def rate_factors(model: VideoModel, scales: Sequence[str], layer_decay: float) -> Iterator[tuple[nn.Parameter, float]]:
    """Factors on the learning rate.

    Args:
        model: the network.
        scales: ``PLACE=FACTOR``; a later one counts where several fit, and replaces that of ``layer_decay``.
        layer_decay: d: a stage of the backbone (a child of it) that is the n-th from the head learns at d^n of the rate
            (Clark et al., ELECTRA, 2003.10555, and most fine-tuning since).

    Yields:
        Parameters with their factors; of a parameter that comes again, the last one counts.

    Raises:
        ValueError: a scale that is not PLACE=FACTOR, or an unknown place.
    """
    if layer_decay < 1:
        stages = [child for child in model.backbone.children() if next(child.parameters(), None) is not None]
        stages += [model.tail] if model.tail is not None else []
        inserted = {parameter for module in modules_of(model, "blocks") for parameter in module.parameters()}
        for number, stage in enumerate(reversed(stages), start=1):
            yield from ((p, layer_decay**number) for p in stage.parameters() if p not in inserted)
    for scale in scales:
        place, equals, text = scale.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not equals or not 0 < value < float("inf"):
            raise ValueError(f"lr_scale {scale!r} must be PLACE=FACTOR with a factor greater than 0, e.g. layer1=0.1.")
        for module in modules_of(model, place):
            yield from ((parameter, value) for parameter in module.parameters(recurse=False))


def _find(model: VideoModel, place: str) -> nn.Module:
    """A module of the backbone or of the head by its path."""
    first, dot, rest = place.partition(".")
    path = f"{model.aliases.get(first, first)}{dot}{rest}"
    for top, name in ((model.backbone, path), (model, place if first in ("head", "tail", "backbone") else "")):
        try:
            if name:
                return top.get_submodule(name)
        except AttributeError:
            continue
    known = [name for name, _ in model.backbone.named_children()]
    raise unknown("part of the network", place, [*PARTS, *known, *model.aliases])
