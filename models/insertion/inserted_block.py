"""`InsertedBlock`: a block or part inside a network, and the hooks that run it where there is no container for it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from specvid.models.clip import ForwardPass, fit_mask
from specvid.models.formats import FIRST, FeatureFormat
from specvid.models.insertion.places import call_grid


class InsertedBlock(nn.Module):
    """A block or part inside a network.

    It gives the block features channels first, the mask of real frames and, in an image network, whole clips instead of
    single frames.

    Args:
        block: A nonlocal block, or a part (`specvid.models.insertion.parts`).
        dims: Of the block: 3, or 2 for one that works on single frames.
        per_frame: Whether the features are (B·T, C, H, W), of an image network that runs on the frames of B clips.
            Unless ``dims`` is 2 they are unfolded to (B, C, T, H, W), so that the block sees all frames of a clip.
        after: Whether it stands behind the module that it was put at, or in front of it.
        format: How features lie at this place.
    """

    block: Any
    insertion: int | None = None
    """Which insertion of the string ``blocks`` it comes from, counted from 0."""

    def __init__(
        self, block: nn.Module, *, dims: int, per_frame: bool, after: bool, format: FeatureFormat = FIRST
    ) -> None:
        super().__init__()
        self.block, self.format = block, format
        self.dims, self.per_frame, self.after = dims, per_frame, after

    def forward(self, x: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        """Run the block.

        Args:
            x: Features in ``format``.
            grid: The grid of tokens, where the format has none of its own.

        Returns:
            Features in the same format.

        Raises:
            ValueError: The clip length of an image network is not known, or tokens do not fill the grid.
        """
        if isinstance(self.block, nn.Identity):  # of a network for inference: its gates were all 0
            return x
        return self.format.from_map(self._run(self.format.to_map(x, grid)), x)

    def _run(self, x: Tensor) -> Tensor:
        if self.dims == 2:
            return self.block(x)
        run = ForwardPass.of(self)
        frames, mask_bt = run.clip_at(self)
        if not self.per_frame:
            return self._on_clip(run, x, mask_bt)
        if frames is None:
            raise ValueError(
                "a block in an image network must know the clip length: call the VideoModel, not its backbone"
            )
        x_bcthw = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return self._on_clip(run, x_bcthw, mask_bt).transpose(1, 2).flatten(0, 1)

    def _on_clip(self, run: ForwardPass, x_bcthw: Tensor, mask_bt: Tensor | None) -> Tensor:
        frames = x_bcthw.shape[2]
        y_bcthw = self.block(x_bcthw, fit_mask(mask_bt, frames))
        if changes_time(self.block):
            mask_bt = self.block.pool_mask(mask_bt, frames)
            run.set_clip(y_bcthw.shape[2] if self.per_frame else run.clip.frames, mask_bt)
        return y_bcthw


def changes_time(block: nn.Module) -> bool:
    """Whether a block gives fewer frames than it gets; it then has ``pool_mask``.

    Args:
        block: A block or part.

    Returns:
        Its attribute ``changes_time``, False where it has none.
    """
    return getattr(block, "changes_time", False)


# The hooks are plain functions that find their blocks among the children of the module they are called for: so a deep
# copy runs its own copies of the blocks.
def run_before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Forward pre-hook: run the blocks that stand before the module.

    Args:
        module: The module, whose children the blocks are.
        args: Its arguments, features first.

    Returns:
        The arguments with the blocks' output for the features.
    """
    x, grid = args[0], call_grid(args)
    for child in module.children():
        if isinstance(child, InsertedBlock) and not child.after:
            x = child(x, grid)
    return (x, *args[1:])


def run_after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """Forward hook: run the blocks that stand behind the module.

    Args:
        module: The module, whose children the blocks are.
        args: Its arguments.
        output: Its output: features, or tokens with their grid.

    Returns:
        The output of the last block, with the grid where there was one.
    """
    grid = call_grid(output)
    x = output if grid is None else output[0]
    for child in module.children():
        if isinstance(child, InsertedBlock) and child.after:
            x = child(x, grid)
    return x if grid is None else (x, grid)
