"""Which parameters decay; the moving average of the weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from specvid.models.factory import create_model
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.ema import average_weights
from specvid.pipelines.engine.optim import build_optimizer, parameter_groups
from specvid.pipelines.engine.schedule import build_schedule


def test_norms_biases_and_gates_do_not_decay() -> None:
    model = create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=3)
    decayed, spared = parameter_groups(model, EngineConfig(weight_decay=0.1))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
    spared_names = [names[id(parameter)] for parameter in spared["params"]]
    assert any("gate" in name for name in spared_names)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    spared_ids = {id(parameter) for parameter in spared["params"]}
    assert norms
    assert all(id(parameter) in spared_ids for norm in norms for parameter in norm.parameters())
    assert all(name.endswith("weight") for name in (names[id(parameter)] for parameter in decayed["params"]))


def test_a_gate_without_gradient_stays_where_it_is() -> None:
    model = nn.Module()
    model.gate, model.weight = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.ones(2, 2))
    optimizer = build_optimizer(model, EngineConfig(optimizer="adamw", lr=0.1, weight_decay=0.5))
    model.gate.grad, model.weight.grad = torch.tensor(0.0), torch.zeros(2, 2)
    optimizer.step()
    assert model.gate.item() == pytest.approx(0.7)
    assert model.weight[0, 0].item() == pytest.approx(1 - 0.1 * 0.5)


def test_frozen_parameters_are_left_out_and_nothing_to_train_is_an_error() -> None:
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    (only,) = parameter_groups(model, EngineConfig())
    assert only["params"] == [model.bias]
    model.bias.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        parameter_groups(model, EngineConfig())


def test_blocks_and_gates_have_rates_of_their_own_and_the_backbone_waits_for_them() -> None:
    model = create_model("r3d_tiny", blocks="snl@layer2.-1, gc@layer2.end", num_classes=3)
    config = EngineConfig(lr=0.1, block_lr=10, gate_lr=100, block_warmup=0.5, epochs=4, schedule="constant")
    optimizer = build_optimizer(model, config)
    names = {parameter: name for name, parameter in model.named_parameters()}
    rates = {names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates.keys() == set(names.values())
    inserted = ("snl_before", "gc_after")
    for name, rate in rates.items():
        assert rate == pytest.approx(
            10 if name.endswith(".gate") else 1 if any(i in name for i in inserted) else 0.1
        ), name
    schedule = build_schedule(optimizer, config, 5)
    for step in range(20):
        for group in optimizer.param_groups:
            still = step < 10 and any(
                names[p].startswith("backbone") and p.ndim and not any(i in names[p] for i in inserted)
                for p in group["params"]
            )
            assert (group["lr"] == 0) == still
        optimizer.step()
        schedule.step()


def test_the_head_has_a_rate_of_its_own_and_a_scale_of_a_part_of_it_counts_more() -> None:
    model = create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=3)
    config = EngineConfig(lr=1.0, head_lr=8, block_lr=2, layer_decay=0.5)
    names = {parameter: name for name, parameter in model.named_parameters()}
    for scales, expected in (((), 8), (("head.classifier=4",), 4)):
        groups = parameter_groups(model, replace(config, lr_scale=scales))
        rates = {names[p]: group["lr"] for group in groups for p in group["params"]}
        assert {rate for name, rate in rates.items() if name.startswith("head.classifier")} == {expected}
        assert {rate for name, rate in rates.items() if "snl" in name} == {2}
        assert max(rate for name, rate in rates.items() if "snl" not in name and "head" not in name) == 0.5
    with pytest.raises(ValueError, match="head_lr 0 must be greater than 0"):
        EngineConfig(head_lr=0)


def test_sgd_has_nesterov_momentum() -> None:
    group = build_optimizer(nn.Linear(2, 2), EngineConfig(optimizer="sgd", momentum=0.8)).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.8, True)


def test_the_average_follows_its_formula_buffers_too() -> None:
    model = nn.BatchNorm1d(2)
    average = average_weights(model, decay=0.5)
    weights, slow, slow_mean = [], None, None
    for update in range(6):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2))
            model.running_mean.copy_(torch.randn(2))
            model.num_batches_tracked.add_(1)
        weights.append(model.weight.detach().clone())
        average.update_parameters(model)
        decay = min(0.5, (1 + update) / (10 + update))
        slow = weights[0] if update == 0 else decay * slow + (1 - decay) * weights[-1]
        slow_mean = model.running_mean.clone() if update == 0 else decay * slow_mean + (1 - decay) * model.running_mean
    torch.testing.assert_close(average.module.weight.detach(), slow)
    torch.testing.assert_close(average.module.running_mean, slow_mean)
    assert average.module.num_batches_tracked == model.num_batches_tracked
