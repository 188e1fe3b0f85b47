"""Models: blocks (affinity x graph filter), backbones, insertion of the ones into the others, weights."""

from specvid.models.backbones.registry import list_backbones
from specvid.models.factory import create_model

__all__ = ["create_model", "list_backbones"]
