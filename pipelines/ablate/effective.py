"""The settings of a training that change what is trained."""

from collections.abc import Mapping
from typing import Any

from specvid.pipelines.engine.config import ABOUT_THE_RUN

# To the last digit: the number of devices decides over which clips a batch norm is computed, and the device over the
# precision, though a run may be continued on others.
_CHANGE_NOTHING = ABOUT_THE_RUN | {"workers", "save_every", "tensorboard", "wandb"}


def effective(settings: Mapping[str, Any], *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The settings that change what is trained, to be compared with ``==``: as text 10 of a recipe is not 10.0.

    Args:
        settings: all of a training, as its run saves them.
        but: names, at any depth, to leave out as well.

    Returns:
        The settings without those about the run, and those that change nothing that is computed.
    """
    return {
        name: effective(value, but=but) if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if name not in _CHANGE_NOTHING | but
    }
