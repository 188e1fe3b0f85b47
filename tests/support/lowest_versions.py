"""What PyTorch 2.6, the lowest version that is allowed, cannot do, as marks that skip what needs it."""

import inspect

import pytest
import torch
from torch.torch_version import TorchVersion
from torch.utils.checkpoint import checkpoint

IS_TORCH_26 = TorchVersion(torch.__version__) < (2, 7)
EARLY_STOP = "early_stop" in inspect.signature(checkpoint).parameters  # 2.8

needs_threads_own = pytest.mark.skipif(
    IS_TORCH_26, reason="PyTorch 2.6 compiles what a thread has of its own as what all have: compile the whole model"
)
needs_cpu_sharding = pytest.mark.skipif(IS_TORCH_26, reason="PyTorch 2.6 shards on GPUs alone (FSDP2)")
needs_batch_norm_in_onnx = pytest.mark.skipif(
    IS_TORCH_26, reason="PyTorch 2.6 exports no batch norm by dynamo; `specvid export` folds it first"
)
