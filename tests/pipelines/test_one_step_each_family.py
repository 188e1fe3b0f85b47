"""One step of our training loop on real clips, for a network of each family, with a block in it."""

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch
from backbone_cases import CASES
from shared_data import shared

from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.action.data import read_lists
from specvid.pipelines.action.train import ActionTask
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder

VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d", "resnet3d_18", "i3d_inception", "i3d_r50")
IMAGE = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny")
IMAGE += ("densenet121", "regnet_y_400mf")
TRANSFORMERS = ("swin_t", "swin3d_t", "mvit_v1_b", "mvit_v2_s")
OF_EXTRAS = tuple(key for key in CASES if key.startswith(("inflated-", "timm-", "mmaction-", "hf-", "clip-")))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("key", [*VIDEO, *IMAGE, *TRANSFORMERS, *OF_EXTRAS])
def test_one_step_on_real_clips(key: str, tmp_path: Path) -> None:
    case = CASES[key]
    case.skip_without_extra()
    engine = EngineConfig(
        epochs=1, batch_size=2, lr=0.01, schedule="constant", workers=0, device="cpu", tensorboard=False
    )
    config = ActionConfig(clips=ActionClipsConfig(data=str(shared("data/ucf101-raw"))), train=engine)
    lists = read_lists(config.clips)
    two = dataclasses.replace(lists, train=[lists.train[0], lists.train[-1]])
    clip = {"frames": case.frames, "stride": 2, "size": case.size, "resize": case.size * 8 // 7}
    model = case.create(f"snl@{case.places[1]}", input=clip)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    run = RunFolder(tmp_path / "run")
    run.start({})
    fabric = make_fabric(engine)
    trained = fit(fabric, model, ActionTask(fabric, model, config, two), engine, run)
    shutil.rmtree(run.path / "last"), shutil.rmtree(run.path / "best")  # dozens of them would fill a disk

    (line,) = run.lines()
    assert line["unreadable"] == 0
    assert math.isfinite(line["loss"])
    after = dict(trained.named_parameters())
    assert all(parameter.isfinite().all() for parameter in after.values())
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    (gate,) = (name for name in before if name.endswith("gate"))
    assert before[gate] == 0 != after[gate]
    assert {gate, "head.classifier.weight"} <= changed
    bare = {
        name for name in before if name.startswith("backbone.") and not name.startswith(gate.rpartition(".block.")[0])
    }
    assert len(changed & bare) > len(bare) / 2
