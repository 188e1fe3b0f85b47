"""Our blocks for mmaction2's own configs and Runner (extra ``specvid[mmaction]``):

    custom_imports = dict(imports=["specvid.models.mmaction"])
    backbone = dict(type="SpecvidBackbone", backbone=dict(type="ResNet3d", ...), blocks="snl@layer3.-1")

Importing this file registers, with mmaction2's ``MODELS``:

- ``SpecvidBackbone``: any of the backbones that `specvid.create_model` takes as ``mmaction:NAME``, with blocks in it;
- ``specvid_snl``, ``specvid_nl`` and so on, one for each of `specvid.list_blocks`: a block as a plugin layer of mmcv,
  ``dict(type="specvid_snl", in_channels=256, dims=3)``; ``mmcv.cnn.build_plugin_layer`` builds it too. mmaction2's own
  ResNets take no ``plugins``; ``SpecvidBackbone`` does, in the form that OpenMMLab's other ResNets have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from specvid.errors import unknown
from specvid.extras import require
from specvid.models.backbones.mmaction2.families import FAMILIES
from specvid.models.backbones.mmaction2.interlace import make_tin_run
from specvid.models.backbones.mmaction2.network import EXTRA, network_input
from specvid.models.backbones.mmaction2.plugins import PREFIX, read_plugins
from specvid.models.blocks import create_block, list_blocks
from specvid.models.clip import open_in_forward
from specvid.models.insertion.grammar import parse_blocks
from specvid.models.insertion.insert import insert_blocks
from specvid.models.spec import Backbone

MODELS = require("mmaction.registry", extra=EXTRA, what="specvid.models.mmaction").MODELS
require("mmaction.models", extra=EXTRA, what="specvid.models.mmaction")


@MODELS.register_module(name="SpecvidBackbone")
def specvid_backbone(
    backbone: Mapping[str, Any],
    blocks: str = "",
    plugins: Iterable[Mapping[str, Any]] = (),
    input: Mapping[str, Any] | None = None,
    init_cfg: Any = None,
) -> nn.Module:
    """mmaction2's own network with blocks in it: its parameters keep their names, so that its checkpoints load.

    The network is initialised here, with its ``pretrained`` weights if it names any, because mmaction2 would initialise
    the blocks with it otherwise, and a fresh block would no longer be the identity.

    Args:
        backbone: Config of the network, a dict with ``type``.
        blocks: Insertions (`specvid.models.insertion.grammar`).
        plugins: Insertions in OpenMMLab's form (`specvid.models.backbones.mmaction2.plugins`).
        input: Changes to the `InputSpec` of its class. An image network must know the clip length
            (``input=dict(frames=8)``: as many segments as the pipeline samples), unless it has ``num_segments``.
        init_cfg: None; it belongs into ``backbone``.

    Returns:
        The network.

    Raises:
        ValueError: Any of these does not fit.
    """
    if init_cfg is not None:
        raise ValueError("SpecvidBackbone: init_cfg is not for it; give it to the backbone inside")
    settings = dict(backbone)
    name = str(settings.get("type")).split(".")[-1]
    if name not in FAMILIES:
        raise unknown("SpecvidBackbone: class", name, FAMILIES)
    family = FAMILIES[name]
    make_tin_run()
    network = MODELS.build(settings)
    network.init_weights()
    network.is_init = True  # mmengine passes over such modules
    spec, fixed = network_input(name, network, family.input)
    described = Backbone(
        network, 0, spec, family.dims, family.aliases, formats=family.formats(network), fixed=fixed
    ).with_input(input or {})
    insert_blocks(described, (*parse_blocks(blocks), *read_plugins(plugins, network)))
    open_in_forward(network, described.input.frames if family.dims == 2 else None)
    return network


class _Plugin(nn.Module):
    """A block under the constructor that mmcv's plugin layers have. (N, C, ...) -> the same shape."""

    name: str

    def __init__(self, in_channels: int, dims: int = 3, **options: Any) -> None:
        super().__init__()
        self.block = create_block(self.name, in_channels, dims=dims, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


for _name in list_blocks():
    MODELS.register_module(
        name=f"{PREFIX}{_name}", module=type(f"{PREFIX}{_name}", (_Plugin,), {"name": _name, "_abbr_": _name})
    )
