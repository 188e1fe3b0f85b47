"""Clip length and mask reach the inserted blocks whoever calls the model, and however: every way gives the numbers and
gradients of the plain call."""

import copy
import functools
import io
import pickle
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import pytest
import torch
from lowest_versions import EARLY_STOP, needs_batch_norm_in_onnx, needs_threads_own
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from specvid.models import VideoModel
from specvid.models.backbones.registry import build_backbone
from specvid.models.heads import Head
from specvid.models.insertion.insert import insert_blocks
from specvid.models.pooling import MeanPool
from specvid.models.spec import Backbone, InputSpec

FRAMES, SIZE = 6, 24  # no maps of 1 x 1 in the networks: torch.compile has other strides for them than oneDNN
BLOCKS = {
    "r2d_tiny": "tsm@layer2.1, snl@layer1, tpool@layer1.end, nl@layer2, snl@layer2.0.norm",
    "r3d_tiny": "snl@layer1, tpool@layer1.end, nl@layer2, snl@layer2.0.bn2",
}
STAGES = ("stem", "layer1", "layer2")
TRAINABLE = re.compile(r"layer2\.1")
MASKS = {
    "all": None,
    "few": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], dtype=torch.bool),
    "fewer": torch.tensor([[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0]], dtype=torch.bool),
}
Call = tuple[Tensor, Tensor | None]
Result = tuple[list[Tensor], list[Tensor | None]]


class Residual(nn.Module):
    """``x + relu(norm(conv(x)))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv(x)).relu()


def r2d_tiny() -> Backbone:
    """An image network, so small that compiling it takes seconds."""
    stages = {
        "stem": nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU()),
        "layer1": nn.Sequential(Residual(8)),
        "layer2": nn.Sequential(Residual(8), Residual(8), nn.Conv2d(8, 16, 3, stride=2, padding=1)),
    }
    return Backbone(nn.Sequential(OrderedDict(stages)), 16, InputSpec(FRAMES, 1, SIZE, SIZE), dims=2)


def made(name: str, blocks: str | None = None) -> VideoModel:
    torch.manual_seed(0)
    backbone = r2d_tiny() if name == "r2d_tiny" else build_backbone(name)
    insert_blocks(backbone, BLOCKS[name] if blocks is None else blocks)
    head = Head(backbone.feature_dim, num_classes=5)
    model = VideoModel(backbone, pool=MeanPool(backbone.feature_dim), head=head, config={"name": name}).eval()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.endswith("gate"):
            nn.init.constant_(parameter, 0.5)
    return model


def clip(seed: int, frames: int = FRAMES) -> Tensor:
    return torch.randn(2, 3, frames, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def calls() -> list[Call]:
    """Three clips of other masks, the last one of another length too."""
    return [(clip(1), MASKS["few"]), (clip(2), MASKS["all"]), (clip(3, 4), MASKS["fewer"][:, :4])]


def run(model: nn.Module, inputs: list[Call]) -> Result:
    """All forwards before the first backward: the logits, and the gradients that have gathered."""
    model.zero_grad()
    outputs = [model(x, mask) for x, mask in inputs]
    for number, logits in enumerate(outputs):
        logits.square().sum().mul(number + 1).backward()
    return [logits.detach() for logits in outputs], [parameter.grad for parameter in model.parameters()]


def assert_same(
    found: tuple[list[Tensor], list[Tensor | None]], wanted: tuple[list[Tensor], list[Tensor | None]]
) -> None:
    for one, other in zip(found[0] + found[1], wanted[0] + wanted[1], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_the_masks_matter() -> None:
    """Else the other tests would pass whatever the blocks receive."""
    for name in BLOCKS:
        model = made(name)
        for place in ("snl", "nl"):
            inserted = next(
                module for path, module in model.named_modules() if path.rpartition(".")[2].startswith(place)
            )
            seen: list[Tensor | None] = []
            inserted.block.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[1]))
            logits = [model(clip(1), mask) for mask in MASKS.values()]
            assert seen[0] is None
            assert not torch.equal(seen[1], seen[2])
            assert len({float(one.detach().sum()) for one in logits}) == 3


# ---------------------------------------------------------------------------------------------------------------------
# activation checkpointing


def patch(module: nn.Module, **options: object) -> None:
    """As activation checkpointing is usually put around a module from outside."""
    module.forward = functools.partial(checkpoint, module.forward, **options)  # type: ignore[method-assign]


def around_backbone(model: VideoModel) -> None:
    patch(model.backbone, use_reentrant=False)


def around_stages(model: VideoModel) -> None:
    for stage in STAGES:
        patch(model.backbone.get_submodule(stage), use_reentrant=False)


def around_both(model: VideoModel) -> None:
    around_stages(model), around_backbone(model)


def without_early_stop(model: VideoModel) -> None:
    patch(model.backbone, use_reentrant=False, early_stop=False)


def wrapped_stages(model: VideoModel) -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    for stage in STAGES:
        model.backbone.set_submodule(stage, checkpoint_wrapper(model.backbone.get_submodule(stage)))


def around_a_function(model: VideoModel) -> None:
    """Of several stages, and of something that is no module."""
    stages = [model.backbone.get_submodule(stage) for stage in STAGES[:2]]
    own = [stage.forward for stage in stages]

    def together(x: Tensor) -> Tensor:
        for forward in own:
            x = forward(2 * x / 2)
        return x

    stages[0].forward = functools.partial(checkpoint, together, use_reentrant=False)  # type: ignore[method-assign]
    for stage in stages[1:]:
        stage.forward = lambda x: x  # type: ignore[method-assign]


def around_the_model(model: VideoModel) -> None:
    patch(model, use_reentrant=False)


def reentrant(model: VideoModel) -> None:
    for stage in STAGES[1:]:  # which needs an input with a gradient
        patch(model.backbone.get_submodule(stage), use_reentrant=True)


WAYS = [
    around_backbone,
    around_stages,
    around_both,
    *([without_early_stop] if EARLY_STOP else []),
    wrapped_stages,
    around_a_function,
    around_the_model,
    reentrant,
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BLOCKS)
def test_activation_checkpointing(name: str, way: Callable[[VideoModel], None]) -> None:
    wanted = run(made(name), calls())
    model = made(name)
    way(model)
    assert_same(run(model, calls()), wanted)


def freeze(model: VideoModel) -> None:
    """All but the last layers of the backbone."""
    for path, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(TRAINABLE.match(path) is not None)


@pytest.mark.parametrize("way", [around_backbone, around_stages])
@pytest.mark.parametrize("name", BLOCKS)
def test_activation_checkpointing_of_frozen_layers(name: str, way: Callable[[VideoModel], None]) -> None:
    """No gradient passes the first blocks, yet they run again for what comes after them."""
    found = []
    for checkpointed in (False, True):
        model = made(name)
        freeze(model)
        if checkpointed:
            way(model)
        found.append(run(model, calls()))
    assert sum(gradient is not None for gradient in found[0][1]) < len(found[0][1])
    assert_same(found[1], found[0])


def test_activation_checkpointing_with_saved_tensors_elsewhere() -> None:
    wanted = run(made("r2d_tiny"), calls())
    model = made("r2d_tiny")
    around_stages(model)
    with torch.autograd.graph.save_on_cpu():
        assert_same(run(model, calls()), wanted)


def test_activation_checkpointing_when_one_backward_goes_through_two_forwards() -> None:
    def both(model: VideoModel) -> Result:
        (x, mask), _, (y, other) = calls()
        logits = model(y + model(x, mask).sum() / 100, other)
        logits.square().sum().backward()
        return [logits.detach()], [parameter.grad for parameter in model.parameters()]

    for name in BLOCKS:
        model = made(name)
        around_stages(model)
        assert_same(both(model), both(made(name)))


def test_activation_checkpointing_with_second_derivatives() -> None:
    def twice(model: VideoModel) -> Result:
        x, mask = calls()[0]
        x.requires_grad_()
        (first,) = torch.autograd.grad(model(x, mask).square().sum(), x, create_graph=True)
        first.square().sum().backward()
        return [first.detach()], [x.grad, *(parameter.grad for parameter in model.parameters())]

    blocks = "a2@layer1, tpool@layer1.end, a2@layer2"
    model = made("r3d_tiny", blocks)
    around_backbone(model)
    assert_same(twice(model), twice(made("r3d_tiny", blocks)))


def test_activation_checkpointing_of_a_backbone_called_without_the_model() -> None:
    model, x = made("r3d_tiny"), clip(1)
    bare = copy.deepcopy(model.backbone)
    around_backbone(model)
    gradients = []
    kept = model(x, MASKS["few"])  # another forward whose backward may still come
    for backbone in (bare, model.backbone):
        backbone(x).square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    assert_same(([], gradients[1]), ([], gradients[0]))
    assert kept.requires_grad


def test_nothing_of_a_forward_is_left_when_its_graph_is_gone() -> None:
    from specvid.models import clip as clips

    model, before = made("r2d_tiny"), len(clips._FORWARDS)
    logits = model(*calls()[0])
    assert len(clips._FORWARDS) == before + 1
    logits.sum().backward()
    del logits
    assert len(clips._FORWARDS) == before
    with torch.no_grad():
        kept = model(*calls()[0])
    assert len(clips._FORWARDS) == before
    assert not kept.requires_grad


# ---------------------------------------------------------------------------------------------------------------------
# threads, replicas


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Each thread would have OpenMP threads of its own; those that spin while they wait for a core stop each other."""
    team = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(team)


def in_threads(jobs: list[Callable[[], object]]) -> list[object]:
    """The results of ``jobs``, each in a thread of its own."""
    results: list[object] = [None] * len(jobs)

    def work(number: int) -> None:
        try:
            results[number] = jobs[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def meet(modules: list[nn.Module], threads: int) -> None:
    """All threads wait for each other in front of each of ``modules``, so that their forwards interleave."""
    barrier = threading.Barrier(threads, timeout=60)

    def hook(module: nn.Module, args: tuple[object, ...]) -> None:
        barrier.wait()

    for module in modules:
        module.register_forward_pre_hook(hook)


@pytest.mark.parametrize("name", BLOCKS)
def test_threads_that_call_one_model(name: str) -> None:
    model = made(name)
    inputs = calls()
    with torch.no_grad():
        wanted = [model(x, mask) for x, mask in inputs]
        meet([model.backbone.get_submodule(stage) for stage in STAGES], len(inputs))
        found = in_threads([lambda x=x, mask=mask: no_grad(model, x, mask) for x, mask in inputs])
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one, other)


def no_grad(model: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    with torch.no_grad():  # which is a thread's own
        return model(x, mask)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_threads_that_train_one_model(name: str, checkpointed: bool, frozen: bool) -> None:
    """All forwards are over before the first backward begins."""
    model, meet_all = made(name), threading.Barrier(3, timeout=60)
    if frozen:
        freeze(model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def gradients(x: Tensor, mask: Tensor | None, wait: Callable[[], object]) -> tuple[Tensor, ...]:
        logits = model(x, mask)
        wait()
        return torch.autograd.grad(logits.square().sum(), trained)

    wanted = [gradients(*call, lambda: None) for call in calls()]
    if checkpointed:
        around_stages(model)
    found = in_threads([functools.partial(gradients, *call, meet_all.wait) for call in calls()])
    for one, other in zip(found, wanted, strict=True):
        assert_same(([], list(one)), ([], list(other)))


@pytest.mark.parametrize("name", BLOCKS)
def test_one_backward_through_forwards_of_several_threads(name: str) -> None:
    wanted = run(made(name), calls())
    model = made(name)
    outputs = in_threads([lambda x=x, mask=mask: model(x, mask) for x, mask in calls()])
    sum(logits.square().sum() * (number + 1) for number, logits in enumerate(outputs)).backward()
    assert_same(([one.detach() for one in outputs], [parameter.grad for parameter in model.parameters()]), wanted)
    around_stages(model)
    outputs = in_threads([lambda x=x, mask=mask: model(x, mask) for x, mask in calls()])
    with pytest.raises(ValueError, match=r"one backward pass goes through [23] forward passes that several threads"):
        sum(logits.sum() for logits in outputs).backward()


def replicas(model: nn.Module, count: int) -> list[nn.Module]:
    """Copies of all modules that share their parameters, as `torch.nn.parallel.replicate` makes them, on the CPU."""
    copies = []
    for _ in range(count):
        made = {module: module._replicate_for_data_parallel() for module in model.modules()}
        for module, replica in made.items():
            for key, child in module._modules.items():
                replica._modules[key] = made[child] if child is not None else None
            for key, parameter in module._parameters.items():
                replica._parameters[key] = parameter
        copies.append(made[model])
    return copies


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_data_parallel(name: str, checkpointed: bool) -> None:
    wanted = run(made(name), calls())
    model = made(name)
    if checkpointed:
        wrapped_stages(model)  # a patched forward would be the original's
    copies = replicas(model, 3)
    meet_all = threading.Barrier(3, timeout=60)

    def forward(replica: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
        meet_all.wait()
        return replica(x, mask)

    outputs = in_threads([functools.partial(forward, one, *call) for one, call in zip(copies, calls(), strict=True)])
    total = sum(logits.square().sum() * (number + 1) for number, logits in enumerate(outputs))
    total.backward()
    assert_same(([one.detach() for one in outputs], [parameter.grad for parameter in model.parameters()]), wanted)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 1, reason="needs a CUDA device")
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_data_parallel_on_gpus(name: str, checkpointed: bool) -> None:
    inputs = [(x.cuda(), mask.cuda()) for x, mask in calls() if mask is not None]
    wanted = run(made(name).cuda(), inputs)
    model = made(name).cuda()
    if checkpointed:
        wrapped_stages(model)
    assert_same(run(nn.DataParallel(model, device_ids=[0, 1 % torch.cuda.device_count()]), inputs), wanted)


# ---------------------------------------------------------------------------------------------------------------------
# compiling, exporting, copying


@pytest.mark.parametrize(
    "way",
    [
        "model",
        pytest.param("backbone", marks=needs_threads_own),
        pytest.param("stages", marks=needs_threads_own),
        "checkpointed",
    ],
)
@pytest.mark.parametrize("name", ["r2d_tiny", pytest.param("r3d_tiny", marks=pytest.mark.slow)])
def test_compiled_without_graph_breaks(name: str, way: str) -> None:
    torch.compiler.reset()
    wanted = run(made(name), calls())
    model = made(name)
    compiled: nn.Module = model
    options = {"backend": "aot_eager", "fullgraph": True}
    if way == "backbone":
        model.backbone.compile(**options)
    elif way == "stages":
        for stage in STAGES[:2]:  # with a third torch would compile their common code more often than it may
            model.backbone.get_submodule(stage).compile(**options)
    else:
        if way == "checkpointed":
            patch(model.backbone.get_submodule(STAGES[-1]), use_reentrant=False)
        compiled = torch.compile(model, **options)
    assert_same(run(compiled, calls()), wanted)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_exported(name: str, strict: bool) -> None:
    model, (x, mask) = made(name), calls()[0]
    with torch.no_grad():
        wanted = model(x, mask)
    program = torch.export.export(model, (x, mask), strict=strict).module()
    with torch.no_grad():
        torch.testing.assert_close(program(x, mask), wanted)
        torch.testing.assert_close(program(x, MASKS["fewer"]), model(x, MASKS["fewer"]))
        assert not torch.allclose(program(x, MASKS["fewer"]), wanted)


@needs_batch_norm_in_onnx
@pytest.mark.parametrize("name", BLOCKS)
def test_onnx(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="pip install 'specvid[export]'")
    pytest.importorskip("onnxscript", reason="pip install 'specvid[export]'")
    model, (x, mask) = made(name), calls()[0]
    program = torch.onnx.export(model, (x, mask), dynamo=True, input_names=["x", "mask"], verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for other in (mask, MASKS["fewer"]):
        (found,) = session.run(None, {"x": x.numpy(), "mask": other.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), model(x, other), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", BLOCKS)
def test_copies(name: str, how: str) -> None:
    model = made(name)
    wanted = run(model, calls())
    model.zero_grad()
    twin = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    around_stages(twin)
    assert_same(run(twin, calls()), wanted)


def test_a_copy_made_in_the_middle_of_a_forward() -> None:
    model, copies = made("r2d_tiny"), []
    handle = model.backbone.get_submodule("layer2").register_forward_pre_hook(
        lambda module, args: copies.append(copy.deepcopy(model.backbone))
    )
    x, mask = calls()[0]
    with torch.no_grad():
        wanted = model(x, mask)
        handle.remove()
        model.backbone = copies[0]
        assert torch.equal(model(x, mask), wanted)


def test_a_forward_that_fails_leaves_nothing() -> None:
    model, x = made("r2d_tiny"), clip(1)
    handle = model.backbone.get_submodule("layer2").register_forward_pre_hook(lambda module, args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(x, MASKS["few"])
    handle.remove()
    with pytest.raises(ValueError, match="must know the clip length: call the VideoModel"):
        model.backbone(x.transpose(1, 2).flatten(0, 1))
