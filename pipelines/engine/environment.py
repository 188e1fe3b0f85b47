"""On what a training ran: versions and the machine, for its results.json and for reports."""

import importlib.metadata
import platform

import torch

from specvid import __version__
from specvid.cores import usable_cores

_PACKAGES = ("torch", "torchvision", "numpy", "lightning-fabric", "av", "safetensors")


def describe_environment() -> dict[str, str]:
    """Versions of what figures may depend on, and the machine; no names of hosts, users or folders.

    Returns:
        Words to print, by what they say.
    """
    found = {"specvid": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["cpu threads"] = f"{torch.get_num_threads()} of {usable_cores()}"
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        found["gpu"] = ", ".join(devices)
        found["cuda"] = str(torch.version.cuda)
    return found
