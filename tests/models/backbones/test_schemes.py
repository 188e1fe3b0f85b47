"""Names with a scheme, ``library:name``, are built by the one function of that library."""

from collections.abc import Iterator

import pytest
from torch import nn

from specvid.extras import require
from specvid.models.backbones import registry
from specvid.models.backbones.registry import build_backbone, list_backbones, list_schemes, register_scheme
from specvid.models.spec import Backbone, InputSpec


@pytest.fixture
def zoo() -> Iterator[str]:
    """A scheme of one network for any name: ``zoo:NAME``."""

    @register_scheme("zoo")
    def build(name: str, /, *, width: int = 1) -> Backbone:
        return Backbone(nn.Conv3d(3, width * len(name), 1), width * len(name), InputSpec(1, 1, 8, 8))

    yield "zoo"
    del registry._SCHEMES["zoo"]


def test_the_scheme_gets_the_name_and_the_options(zoo: str) -> None:
    assert build_backbone("zoo:a:b", width=2).feature_dim == 6  # only the first colon parts
    assert zoo in list_schemes()
    assert not any(name.startswith("zoo") for name in list_backbones())


def test_an_unknown_scheme_is_answered_with_the_nearest(zoo: str) -> None:
    with pytest.raises(ValueError, match=r"backbone 'zo:a': scheme 'zo' is unknown\. Did you mean 'zoo'\?"):
        build_backbone("zo:a")


def test_a_scheme_is_registered_once(zoo: str) -> None:
    with pytest.raises(ValueError, match="scheme 'zoo' is registered twice"):
        register_scheme("zoo")(lambda name: None)


def test_an_absent_extra_names_the_command() -> None:
    with pytest.raises(ValueError, match=r"backbone 'x:y' needs no_such_library.*pip install 'specvid\[x\]'"):
        require("no_such_library", extra="x", what="backbone 'x:y'")
