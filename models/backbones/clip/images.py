"""The image towers of open_clip as features and tail: its own ViTs and ResNets, and timm's networks.

The modules here have open_clip's layers under open_clip's names, and run open_clip's own functions on them.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from specvid.models.backbones.hf.network import TokenEncoder
from specvid.models.backbones.timm_image import describe_timm
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.formats import TOKENS, FeatureFormat, FormatRule


class _Borrowed(nn.Module):
    """Has some attributes of a module, and the module's class, whose functions it runs on them."""

    source: Any

    def __init__(self, module: nn.Module, *names: str) -> None:
        super().__init__()
        self.source = type(module)
        for name in names:
            setattr(self, name, getattr(module, name))


class _Embeddings(_Borrowed):
    """Images (N, 3, H, W) -> tokens (N, 1 + positions, C)."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__(visual, "conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre")

    def forward(self, x: Tensor) -> Tensor:
        return self.source._embeds(self, x)


class _TokenTail(_Borrowed):
    """Tokens (N, 1 + positions, C) -> vectors (N, E): norm, pooling and projection of open_clip's ViT."""

    proj: Tensor | None

    def __init__(self, visual: Any) -> None:
        names = ("attn_pool", "final_ln_after_pool", "pool_type", "ln_post", "proj")
        more = ("attn_pool_contrastive", "attn_pool_type") if visual.attn_pool is not None else ()
        super().__init__(visual, *names, *more)

    def _global_pool(self, x: Tensor) -> Any:
        return self.source._global_pool(self, x)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.source._pool(self, x)[0]
        return pooled if self.proj is None else pooled @ self.proj


class _ResNet(_Borrowed):
    """open_clip's ResNet up to its last map (N, C, H / 32, W / 32)."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, visual: nn.Module) -> None:
        stem = [f"{kind}{number}" for number in (1, 2, 3) for kind in ("conv", "bn", "act")]
        super().__init__(visual, *stem, "avgpool", "layer1", "layer2", "layer3", "layer4")

    def forward(self, x: Tensor) -> Tensor:
        x = self.source.stem(self, x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x


class _TimmTail(nn.Module):
    """What timm's network and open_clip do with its features: (N, ...) -> (N, E).

    Its parameters in timm's network are the backbone's, not its own too.
    """

    network: Any

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.__dict__["network"] = network
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(type(self.network).forward_head(self.network, x))


def take_images(visual: Any, size: tuple[int, int], what: str) -> dict[str, Any]:
    """The image tower as a backbone.

    Args:
        visual: open_clip's.
        size: Height and width of the images, px.
        what: The backbone, to begin a message with.

    Returns:
        Arguments of `Backbone`: module, tail, formats and what goes with them.

    Raises:
        ValueError: It is a network in which features cannot be followed.
    """
    kind = type(visual).__name__
    if kind == "TimmModel":
        described = describe_timm(visual.trunk, size, what)
        described.pop("shape")
        return {**described, "tail": _TimmTail(visual.trunk, visual.head)}
    if kind == "ModifiedResNet":
        width = visual.layer4[-1].bn3.num_features
        return {"module": _ResNet(visual), "feature_dim": width, "tail": visual.attnpool, "aliases": RES_STAGES}
    if kind != "VisionTransformer":
        raise ValueError(f"{what}: its image tower is a {kind}, which is not supported")
    grid, width = tuple(visual.grid_size), visual.conv1.out_channels
    tokens = FeatureFormat(TOKENS, prefix=1, grid=grid)
    layers = visual.transformer.resblocks
    rules = [FormatRule(r"layers\.\d+(\.end)?", tokens)]
    if visual.attn_pool is None and visual.pool_type == "tok":
        why = "what comes after it reads the class token alone; put it before the layer"
        rules.insert(0, FormatRule(rf"layers\.{len(layers) - 1}\.end", None, why))
    rules.append(FormatRule(".*", None, "features are maps only between the layers: choose 'layers.N'"))
    return {
        "module": TokenEncoder(_Embeddings(visual), layers, None, None),
        "feature_dim": width,
        "tail": _TokenTail(visual),
        "formats": tuple(rules),
        "output_format": tokens,
    }
