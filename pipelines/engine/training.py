"""The skeleton of a training, the same for all tasks: lists, checks, model, run, fit, score, save."""

import dataclasses
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from lightning_fabric import Fabric
from torch import Tensor, nn

from specvid.datasets.decode.opening import describe_stream
from specvid.models.checkpointing import checkpoint_activations
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.block_use import BlockWatch, announce_use
from specvid.pipelines.engine.board import Board
from specvid.pipelines.engine.config import TrainingConfig
from specvid.pipelines.engine.devices import require_right_gradients, resolve_precision
from specvid.pipelines.engine.evaluation import Result
from specvid.pipelines.engine.fabric import check_device, make_fabric
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.engine.listing import Listing, listing_of_weights
from specvid.pipelines.engine.log import echo, log, logging_to
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.optim import parameter_groups
from specvid.pipelines.engine.parts import freeze
from specvid.pipelines.engine.peers import naming_lost_processes
from specvid.pipelines.engine.recipes import describe_recipe, describe_weights, without_weights
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.seeds import seed_all
from specvid.pipelines.engine.signals import interrupting
from specvid.pipelines.engine.start import start_run
from specvid.pipelines.engine.task import Batch, Callback, Selection
from specvid.text import counted, path_on_one_line


class Lists(Protocol):
    """What one training reads: the items of one split of a data set."""

    items: ClassVar[str]
    """What they are: clips or tracklets."""

    @property
    def title(self) -> str:
        """What reports call the data."""

    @property
    def split(self) -> int:
        """Number of the split."""

    @property
    def parts(self) -> Mapping[str, list[Path]]:
        """For each part, train and test among them, a file of each of its items."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the lists, a sentence each."""

    @property
    def listing(self) -> Listing:
        """All items by their names, with their classes: the run keeps them."""

    def __str__(self) -> str:
        """How much there is of what, in one line."""


Config = TypeVar("Config", bound=TrainingConfig)
Items = TypeVar("Items", bound=Lists)


class TrainingTask(ABC, Generic[Config, Items]):
    """One training of one task: what `train` needs besides the settings.

    Args:
        fabric: of this process.
        model: the network to train.
        config: all settings.
        lists: from `read_lists`.
    """

    name: ClassVar[str]
    forward_methods: tuple[str, ...] = ()
    inherited: Sequence[str] = ()
    """What is tested on, and was trained on by the weights that the training begins with."""

    def __init__(self, fabric: Fabric, model: VideoModel, config: Config, lists: Items) -> None:
        self.fabric, self.config, self.lists = fabric, config, lists
        self.model_config, self.input = model.config, model.input
        self.feed = self.make_feed()
        self.selection = self.validation() or Selection(
            "loss", False, "lowest training loss (no validation part; the test part selects nothing)"
        )

    @staticmethod
    @abstractmethod
    def read_lists(config: Any) -> Any:
        """Read the lists.

        Args:
            config: the ``clips`` of the settings.

        Returns:
            The lists.

        Raises:
            ValueError: they cannot be read, or nothing could be scored on them.
        """

    @staticmethod
    def keep_parts(config: Any, lists: Any, before: Listing) -> Any:
        """Keep out of the test part what the weights were trained on, where that part is drawn.

        Args:
            config: the ``clips`` of the settings.
            lists: from `read_lists`.
            before: what the weights were trained on, of the same data.

        Returns:
            The lists, perhaps with other parts.
        """
        return lists

    @staticmethod
    @abstractmethod
    def build_model(config: Any, lists: Any) -> VideoModel:
        """Build the network, with a classifier for the classes of the lists.

        Args:
            config: all settings.
            lists: from `read_lists`.

        Returns:
            The network.
        """

    @abstractmethod
    def make_feed(self) -> TrainFeed:
        """This process's batches of the train part."""

    @abstractmethod
    def validation(self) -> Selection | None:
        """What the validation part selects by; None where there is no such part."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch; see `specvid.pipelines.engine.task.Task`.

        Args:
            model: in training mode.
            batch: from the feed, on the device.

        Returns:
            The mean loss (a scalar), and figures to log.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Score the validation part.

        Args:
            model: bare, in eval mode.

        Returns:
            Its figures; empty where there is no such part.
        """

    @abstractmethod
    def score(self, model: VideoModel) -> Result:
        """Score the test part, in all processes.

        Args:
            model: the trained network.

        Returns:
            The result.
        """

    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """What must be known to use the weights later, besides `meta`; ``data`` is merged into it."""

    def meta(self) -> Mapping[str, Any]:
        """What must be known to use the weights later: JSON, for each checkpoint's meta.json."""
        data = {"dataset": self.config.clips.dataset, "title": self.lists.title, "split": self.lists.split}
        about = dict(self.about())
        data |= about.pop("data", {})
        model = {"model": self.model_config, "input": dataclasses.asdict(self.input)}
        return {"task": self.name, **model, "data": data, **about}


def train(kind: type[TrainingTask[Config, Any]], config: Config, *, callback: Callback | None = None) -> dict[str, Any]:
    """Train as ``config`` says, and score the last epoch on the test part.

    Args:
        kind: the task.
        config: all its settings.
        callback: watches the training, and may end it.

    Returns:
        What the run's results.json holds.

    Raises:
        Interrupted: a signal ended it; the error says what was saved.
        LostProcessError: another process of the job has ended; likewise.
        ValueError: the config, the data or the run's folder do not fit; before anything is trained.
    """
    config = dataclasses.replace(config, train=resolve_precision(config.train))
    fabric = make_fabric(config.train)
    task, model, listing = _prepare(kind, config, fabric, kind.read_lists(config.clips))
    with ExitStack() as held:
        run = start_run(fabric, config, held=held, listing=listing)
        held.enter_context(logging_to(run.path, is_main=fabric.is_global_zero))
        announce(run, model, task)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        trained = fit(fabric, model, task, config.train, run, callback=callback)
        assert isinstance(trained, VideoModel)
        trained_to_the_end = f"{run.path} is trained to the end; --resume auto scores it."
        with interrupting(trained_to_the_end), naming_lost_processes(lambda: trained_to_the_end):
            with BlockWatch(trained) as watch:
                result = task.score(trained)
            if fabric.is_global_zero:
                blocks = watch.report()
                announce_use(blocks)
                uses = [block.as_dict() for block in blocks]
                run.write_training(config, parameters=parameters, best_is=task.selection.reason, blocks=uses)
                folder = result.save(run)
                if config.train.tensorboard or config.train.wandb:
                    board = Board(run.path, tensorboard=config.train.tensorboard, wandb=config.train.wandb)
                    board.test(result.entry(), config, run.lines()[-1]["step"], folder)
                    board.close()
                echo(result.describe(str(run.path), folder))
            fabric.barrier()
    return run.results()


def check(kind: type[TrainingTask[Config, Items]], config: Config, lists: Items) -> str:
    """Prepare a training as `train` does, and go no further: what is wrong is known before anything is trained.

    Nothing is written, and no process is started.

    Args:
        kind: the task.
        config: all settings.
        lists: from the task's `read_lists`; trainings on the same clips may share them.

    Returns:
        What speaks against a network that starts from random numbers (`without_weights`); empty where nothing does.

    Raises:
        ValueError: device, data, weights, network, frozen parts or rates do not fit.
    """
    check_device(config.train)
    alone = Fabric(accelerator="cpu", devices=1)  # never launched: it says where a process stands, here one of one
    own = dataclasses.replace(config, train=resolve_precision(config.train))
    _, model, _ = _prepare(kind, own, alone, lists)
    return without_weights(own) if model.loaded is None else ""


def _prepare(
    kind: type[TrainingTask[Config, Items]], config: Config, fabric: Fabric, lists: Items
) -> tuple[TrainingTask[Config, Items], VideoModel, Listing]:
    """All that a training needs before there is a run: whatever does not fit is said here."""
    if config.train.wandb and importlib.util.find_spec("wandb") is None:
        raise ValueError("wandb is asked for, but it is not installed. Run `pip install wandb`, or leave out --wandb.")
    listing = lists.listing
    if before := listing_of_weights(config.net.weights, config.clips):
        lists = kind.keep_parts(config.clips, lists, before)
        inherited = before.learned.intersection(lists.listing.parts.get("test", ()))
        listing = dataclasses.replace(lists.listing, inherited=sorted(inherited))
    check_files(config.clips.data, lists)
    seed_all(config.train.seed)
    model = kind.build_model(config, lists)
    freeze(model, config.train.freeze)
    require_right_gradients(model, config.train)
    if config.train.checkpoint_activations:
        checkpoint_activations(model)
    task = kind(fabric, model, config, lists)
    task.inherited = listing.inherited
    parameter_groups(model, config.train)  # a wrong place in it is said before there is a run
    if config.train.early_stop and task.validation() is None:
        raise ValueError(
            f"early_stop {config.train.early_stop} needs a validation part: give --val-fraction 0.2, or data with one."
        )
    return task, model, listing


def check_files(data: str, lists: Lists) -> None:
    """Check that the folder is the right one.

    Args:
        data: the folder.
        lists: what should lie there.

    Raises:
        ValueError: no file of a part is there.
    """
    for part, files in lists.parts.items():
        if files and not any(file.exists() for file in files):
            raise ValueError(
                f"data {data!r}: none of the {part} {lists.items} of split {lists.split} is there, "
                f"e.g. {describe_stream(str(files[0])) or files[0]}. Check it with `specvid data check`."
            )


def announce(run: RunFolder, model: VideoModel, task: TrainingTask[Any, Any]) -> None:
    """Log what is trained on what and how, and warn of files that are missing.

    Args:
        run: its folder.
        model: the network.
        task: what it is trained for.
    """
    config, lists, spec = task.config, task.lists, model.input
    engine, net = config.train, config.net
    blocks = f" with {net.blocks}" if net.blocks else ", no blocks"
    height, width = spec.crop
    log.info(f"run {run.path}: {net.model}{blocks}, {spec.frames} frames x {spec.stride}, {height} x {width} px")
    log.info(f"weights: {describe_weights(config, model.loaded)}")
    if model.loaded is None and (warning := without_weights(config)):
        log.warning(warning)
    if model.replaced is not None:
        log.info(f"convolutions: {model.replaced}")
    log.info(f"{lists.title}, split {lists.split}: {lists}")
    for warning in lists.warnings:
        log.warning(warning)
    if names := task.inherited:
        log.warning(
            f"the weights were trained on {len(names)} of the {lists.items} to test on, e.g. "
            f"{path_on_one_line(names[0])}: the figures will be too good"
        )
    is_cut = 0 < engine.max_steps < engine.epochs * task.feed.steps
    ends = f" (ends after {counted(engine.max_steps, 'step')})" if is_cut else ""
    log.info(
        f"{counted(engine.epochs, 'epoch')} x {counted(task.feed.steps, 'step')} x "
        f"{counted(task.feed.batch_size, 'clip')}{ends}, {engine.optimizer}, "
        f"peak rate {engine.lr:g}, schedule {engine.schedule}, {engine.precision}"
    )
    if config.recipe:
        log.info(describe_recipe(config))
    if task.feed.batch_size < engine.batch_size:
        log.info(f"a step takes all the training clips: they are fewer than the {engine.batch_size} of the recipe")
    if engine.freeze:
        trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        total = sum(parameter.numel() for parameter in model.parameters())
        log.info(f"frozen: {', '.join(engine.freeze)}; {trained:,} of {total:,} parameters are trained")
    for part, files in lists.parts.items():
        missing = [file for file in files if not file.exists()]
        streams = list(filter(None, map(describe_stream, map(str, missing))))
        if streams:
            missing = [file for file in missing if not describe_stream(str(file))]
            log.warning(f"{len(streams)} of {len(files)} {part} {lists.items} are none, e.g. {streams[0]}")
        if missing:
            log.warning(f"{len(missing)} of {len(files)} {part} {lists.items} are missing, e.g. {missing[0]}")
