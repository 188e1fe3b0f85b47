"""The settings of a training that change what is trained."""

from collections.abc import Mapping
from typing import Any

from specvid.pipelines.engine.config import ABOUT_THE_RUN, MAY_CHANGE_ON_RESUME

_CHANGE_NOTHING = ABOUT_THE_RUN | (MAY_CHANGE_ON_RESUME - {"max_steps"})


def effective(settings: Mapping[str, Any], *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The settings that change what is trained, to be compared with ``==``: as text 10 of a recipe is not 10.0.

    Args:
        settings: all of a training, as its run saves them.
        but: names, at any depth, to leave out as well.

    Returns:
        The settings without those of the machine and those about the run.
    """
    return {
        name: effective(value, but=but) if isinstance(value, Mapping) else value
        for name, value in settings.items()
        if name not in _CHANGE_NOTHING | but
    }
