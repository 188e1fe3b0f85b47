"""What wraps a whole stage of residual blocks: ``blocks="sda@layer3"``."""

from specvid.models.stages.sda import STAGE_WRAPPERS, SelectiveDepth
from specvid.models.stages.stage import DepthStage, find_blocks, unwrap_stages

__all__ = ["STAGE_WRAPPERS", "DepthStage", "SelectiveDepth", "find_blocks", "unwrap_stages"]
