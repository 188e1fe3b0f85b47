"""The decoders that are installed here, for tests that each of them must pass."""

from specvid.datasets.decode import check_decoder, list_decoders


def _is_there(name: str) -> bool:
    try:
        check_decoder(name)
    except ValueError:  # torchcodec is optional
        return False
    return True


DECODERS = tuple(filter(_is_there, list_decoders()))
