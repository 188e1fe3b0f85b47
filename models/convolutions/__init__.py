"""What takes the place of convolutions, one file each: ``specvid.replace_conv(network, "dcd@layer3")``.

Each is generic in one to three dimensions, keeps stride, padding, dilation and groups, and starts from the trained
convolution's function where the maths allows it (``start`` of each class says so).
"""

from specvid.models.convolutions import bt, dcd, drconv, dynamic_conv, ghost, linear_conv, phc, sample_specific
from specvid.models.convolutions.base import Convolution, StaticConvolution
from specvid.models.convolutions.registry import (
    CONVOLUTIONS,
    convolution_from,
    convolution_options,
    create_convolution,
    list_convolutions,
)
from specvid.models.convolutions.spec import ConvolutionSpec

__all__ = [
    "CONVOLUTIONS",
    "Convolution",
    "ConvolutionSpec",
    "StaticConvolution",
    "bt",
    "convolution_from",
    "convolution_options",
    "create_convolution",
    "dcd",
    "drconv",
    "dynamic_conv",
    "ghost",
    "linear_conv",
    "list_convolutions",
    "phc",
    "sample_specific",
]
