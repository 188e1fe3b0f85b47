"""The clip that a forward pass runs on: how many frames it has and which of them are real, for the inserted blocks.

A block deep inside a backbone gets its features alone. `VideoModel` therefore opens a `ForwardPass` around its
backbone, in which each block finds the clip, and a part that changes the number of frames sets it for those behind it.
A forward pass belongs to its thread, so threads and the replicas of ``nn.DataParallel`` do not disturb each other, and
nothing of it is stored in the model, so copies and compiled or exported models need no care.

Activation checkpointing runs blocks again in the backward pass, perhaps in another thread, when the forward pass is
over and others have come after it. What is at hand then is the autograd node that needs the activations. Its sequence
number lies between those at the beginning and at the end of the forward pass that made it. Each thread counts for
itself: among forward passes of several threads it is the one whose output the backward pass came from.

A stage that is compiled by itself must be checkpointed within what is compiled, not around it: compiled code cannot
look for its forward pass.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Clip(NamedTuple):
    """A batch of clips at one place of the network.

    Attributes:
        frames: Clip length T in frames, in an image network also behind temporal pooling; None if it is not known.
        mask_bt: (B, T), bool, True = real frame; None when all frames are real.
    """

    frames: int | None = None
    mask_bt: Tensor | None = None


class ForwardPass:
    """One run of a network on a batch of clips, as a context manager.

    Args:
        frames: Clip length T in frames; None if it is not known.
        mask_bt: (B, T), bool, True = real frame; None when all frames are real.

    Attributes:
        clip: The `Clip` at the place that the run has reached; after it, behind the network.
    """

    def __init__(self, frames: int | None, mask_bt: Tensor | None = None) -> None:
        self.clip, self.running = Clip(frames, mask_bt), True
        self.clips: dict[nn.Module, Clip] = {}  # what each block saw, for when it runs again
        self.numbers = range(0)  # sequence numbers of the autograd nodes that this run makes
        self.backward: int | None = None  # id of the backward pass that has reached its output
        self.outer: ForwardPass | None = None
        self.network: nn.Module | None = None  # of `open_in_forward`

    def __enter__(self) -> ForwardPass:
        self.outer, _LOCAL.run = _LOCAL.run, self
        if not torch.compiler.is_compiling():
            self.numbers = range(_next_number(), _next_number())
        return self

    def __exit__(self, *exception: object) -> None:
        _LOCAL.run, self.running = self.outer, False
        if not torch.compiler.is_compiling():
            self.numbers = range(self.numbers.start, _next_number())

    @classmethod
    def of(cls, block: nn.Module) -> ForwardPass:
        """The forward pass of an inserted block that is about to run, or to run again.

        Args:
            block: The block.

        Returns:
            The forward pass; outside of any, one that knows nothing of its clips.

        Raises:
            ValueError: The block runs again for activation checkpointing, and it cannot be found out in which forward
                pass it ran first.
        """
        run = _LOCAL.run
        if run is None and not torch.compiler.is_compiling():
            run = _recomputed(block)
        return run or cls(None)

    def clip_at(self, block: nn.Module) -> Clip:
        """The clip that a block sees, now or when it ran first.

        Args:
            block: The block.

        Returns:
            The clip in front of it.
        """
        if torch.compiler.is_compiling():
            return self.clip
        if self.running:
            self.clips[block] = self.clip
        return self.clips[block]

    def set_clip(self, frames: int | None, mask_bt: Tensor | None) -> None:
        """Change the clip for the blocks behind this one; those that run again have seen it already.

        Args:
            frames: Clip length T in frames; None if it is not known.
            mask_bt: (B, T), bool, True = real frame; None when all frames are real.
        """
        if self.running:
            self.clip = Clip(frames, mask_bt)

    def attach_to(self, outputs: Iterable[object]) -> None:
        """Live on, for blocks that run again, as long as the autograd graph of any of the outputs.

        Args:
            outputs: What the network gave; those that are no tensors with a graph do not count.
        """
        if torch.compiler.is_compiling():
            return
        for output in outputs:
            if isinstance(output, Tensor) and output.grad_fn is not None:
                output.grad_fn.register_prehook(self._enter_backward)
                with _LOCK:
                    _FORWARDS.add(self)

    def _enter_backward(self, gradients: object) -> None:
        self.backward = torch._C._current_graph_task_id()


class _Local(threading.local):
    run: ForwardPass | None = None


_LOCAL = _Local()
_FORWARDS: weakref.WeakSet[ForwardPass] = weakref.WeakSet()  # those whose graphs live
_LOCK = threading.Lock()


def open_in_forward(network: Any, frames: int | None) -> None:
    """Let ``network``, which is no `VideoModel`, open a `ForwardPass` whenever it is called.

    Args:
        network: Takes (B, C, T, H, W), or (B·T, C, H, W) where it is an image network.
        frames: T of an image network, None for a video network.
    """
    network.specvid_frames = frames
    if begin_pass not in network._forward_pre_hooks.values():
        network.register_forward_pre_hook(begin_pass)
        network.register_forward_hook(end_pass, always_call=True)


def begin_pass(network: Any, args: tuple[Tensor, ...]) -> None:
    """Forward pre-hook: open the forward pass.

    Args:
        network: Which has been through `open_in_forward`.
        args: Its arguments, features first.

    Raises:
        ValueError: The images of an image network are not clips of as many frames.
    """
    x, frames = args[0], network.specvid_frames
    if frames is not None and x.shape[0] % frames:
        raise ValueError(
            f"{x.shape[0]} images are not clips of {frames} frames, for which blocks were inserted; give as many "
            "frames as the network gets of each clip (insert(..., frames=...), SpecvidBackbone's input=...)"
        )
    run = ForwardPass(x.shape[2] if frames is None else frames)
    run.network = network
    run.__enter__()


def end_pass(network: nn.Module, args: tuple[Tensor, ...], output: object) -> None:
    """Forward hook: close it.

    Args:
        network: Which has been through `open_in_forward`.
        args: Its arguments.
        output: Its output, or several in a tuple or list.
    """
    run = _LOCAL.run
    if run is not None and run.network is network:  # it is not where `begin_pass` refused the images
        run.__exit__()
        run.attach_to(output if isinstance(output, (tuple, list)) else (output,))


def fit_mask(mask_bt: Tensor | None, frames: int) -> Tensor | None:
    """The mask at a coarser time resolution: a step is valid where any frame of its cell is.

    The cells are those of adaptive pooling, which ONNX does not have for a T that varies.

    Args:
        mask_bt: (B, T), bool.
        frames: Number of steps.

    Returns:
        (B, frames), bool; None for None.
    """
    if mask_bt is None or mask_bt.shape[1] == frames:
        return mask_bt
    steps = torch.arange(frames, device=mask_bt.device)
    first, behind = steps * mask_bt.shape[1] // frames, -(-(steps + 1) * mask_bt.shape[1] // frames)
    real = F.pad(mask_bt.long().cumsum(1), (1, 0))  # how many of the first 0, 1, ... frames are real
    return real[:, behind] > real[:, first]


def _next_number() -> int:
    """The sequence number that the next autograd node of this thread gets."""
    return torch.autograd._get_sequence_nr()


def _recomputed(block: nn.Module) -> ForwardPass | None:
    """The forward pass in which ``block`` ran first, where it now runs again in a backward pass; else None."""
    node = torch._C._current_autograd_node()
    if node is None:
        return None
    number, backward = node._sequence_nr(), torch._C._current_graph_task_id()
    with _LOCK:
        runs = [run for run in _FORWARDS if block in run.clips and number in run.numbers]
    if len(runs) > 1:
        runs = [run for run in runs if run.backward == backward]
    if len(runs) > 1:
        raise ValueError(
            f"activation checkpointing: one backward pass goes through {len(runs)} forward passes that several threads "
            "made with one model, and nothing shows to which of them a block belongs. Call backward() for each of "
            "them, or give each thread a copy of the model"
        )
    return runs[0] if runs else None
