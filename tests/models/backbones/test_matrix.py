"""Every backbone x {no block, snl, nl} x {before, inside, at the end of a stage}.

Each case: a fresh block is the identity, in training and in evaluation; forward and backward; the gradient reaches the
block, the backbone and the head; checkpoint and config give the model back; embeddings have their shape.
"""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from backbone_cases import CASES
from torch import Tensor, nn

import specvid
from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel
from specvid.models.weights import load_weights, save_weights

COLUMNS = ("before", "inside", "end")
FAST = ("r3d_tiny", "r3d_18", "mobilenet_v2")  # with all blocks at all places
FAST_INSIDE = ("resnet18", "swin_t", "mvit_v2_s", "mmaction-i3d", "mmaction-slowfast", "mmaction-swin")
FAST_INSIDE += (
    "mmaction-timesformer",
    "inflated-resnet18",
    "timm-resnet18",
    "hf-videomae",
    "hf-timesformer",
    "clip-vit",
)
CELLS = [("none", ""), *((block, column) for block in ("snl", "nl") for column in COLUMNS)]


def _marks(key: str, block: str, column: str) -> list[pytest.MarkDecorator]:
    fast = key in FAST or (key in FAST_INSIDE and (block, column) == ("snl", "inside"))
    return [] if fast else [pytest.mark.slow]


MATRIX = [
    pytest.param(key, block, column, marks=_marks(key, block, column), id=f"{key}-{block}{column and '-' + column}")
    for key in CASES
    for block, column in CELLS
]


def run(model: VideoModel, x: Tensor) -> Tensor:
    torch.manual_seed(2)  # for dropout and stochastic depth
    return model(x)


@functools.lru_cache(maxsize=1)  # the cases of a backbone follow one another
def bare_results(key: str) -> tuple[set[str], dict[bool, Tensor]]:
    """Names of the parameters of the bare model, and its logits in training and, after that, in evaluation."""
    case = CASES[key]
    bare, x = case.create(), case.clip()
    with torch.no_grad():
        return set(bare.state_dict()), {training: run(bare.train(training), x) for training in (True, False)}


@contextmanager
def without_drawing() -> Iterator[None]:
    """Leaves parameters as memory happens to be, so that only what is loaded into them can be right; and saves time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_"):
            patch.setattr(nn.init, name, lambda tensor, *args, **options: tensor)
        yield


@pytest.mark.parametrize(("key", "block", "column"), MATRIX)
def test_matrix(key: str, block: str, column: str, tmp_path: Path) -> None:
    case = CASES[key]
    case.skip_without_extra()
    x = case.clip()
    names, logits = bare_results(key)
    model = case.create(f"{block}@{case.places[COLUMNS.index(column)]}" if column else "")
    with torch.no_grad():
        for training, expected in logits.items():  # training also updates the statistics of batch norm
            assert torch.equal(run(model.train(training), x), expected)
    inserted = [module for module in model.modules() if isinstance(module, InsertedBlock)]
    assert len(inserted) == bool(column)
    assert names <= set(model.state_dict())

    gates = [parameter for name, parameter in model.named_parameters() if name.endswith("gate")]
    assert len(gates) == bool(column)
    for gate in gates:
        nn.init.constant_(gate, 0.5)
    nn.functional.cross_entropy(run(model.train(), x), torch.tensor([0, 1])).backward()
    for part in (*inserted, model.backbone, model.head):
        gradients = {name: parameter.grad for name, parameter in part.named_parameters()}
        assert [name for name, gradient in gradients.items() if gradient is None] == []
        assert any(gradient.any() for gradient in gradients.values())

    with torch.no_grad():
        expected = run(model.eval(), x)
        assert expected.isfinite().all()
        for gate in gates:  # the block does something
            nn.init.zeros_(gate)
            assert not torch.equal(run(model, x), expected)
            nn.init.constant_(gate, 0.5)
        save_weights(model, tmp_path / "model.safetensors")
        with without_drawing():
            config = json.loads(json.dumps(model.config))
            rebuilt = create_model(**config, weights=tmp_path / "model.safetensors").eval()
        (tmp_path / "model.safetensors").unlink()  # hundreds of them would fill a disk
        assert (rebuilt.loaded.missing, rebuilt.loaded.unexpected, rebuilt.loaded.mismatched) == ({}, {}, {})
        assert torch.equal(run(rebuilt, x), expected)
        assert model.embed(x).shape == (2, model.embedding_dim)


@pytest.mark.parametrize("key", [pytest.param(key, marks=[] if key in FAST else pytest.mark.slow) for key in CASES])
def test_bare_weights_load_after_insertion(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    case.skip_without_extra()
    x = case.clip()
    bare = case.create().eval()
    save_weights(bare, tmp_path / "bare.safetensors")
    model = case.create(", ".join(f"snl@{place}, nl@{place}" for place in case.places)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # any other weights than the bare ones, but for the gates
            if parameter.ndim > 1:
                parameter.mul_(0.9)
        expected = run(bare, x)
        assert not torch.equal(run(model, x), expected)
        report = load_weights(model, tmp_path / "bare.safetensors")
        (tmp_path / "bare.safetensors").unlink()
        assert torch.equal(run(model, x), expected)
    assert set(report.missing.values()) == {"an inserted block, which stays as it is"}
    assert len(report.matched) == len(bare.state_dict())


def test_the_matrix_has_every_backbone() -> None:
    assert set(specvid.list_backbones()) <= set(CASES)
