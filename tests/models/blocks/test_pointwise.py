"""The 1x1 convolution as matrix products, whichever way they are laid out."""

import pytest
import torch
from torch.nn import functional as F

from specvid.models.blocks.pointwise import one_product_pays, pointwise


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("token_major", [False, True])
@pytest.mark.parametrize(("batch", "positions", "one"), [(1, 40, True), (3, 5, True), (3, 40, False)])
def test_equals_the_convolution_with_gradients(
    batch: int, positions: int, one: bool, token_major: bool, bias: bool
) -> None:
    channels, outputs = 24, 32
    assert one_product_pays(batch, positions, channels) == one
    generator = torch.Generator().manual_seed(0)
    x, weight, shift, seed = (
        torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((batch, channels, positions), (outputs, channels, 1), (outputs,), (batch, outputs, positions))
    )
    shifts = (shift,) if bias else ()
    ours = pointwise(x, weight, *shifts, token_major=token_major)
    assert ours.stride(1 if token_major else -1) == 1
    wanted = F.conv1d(x, weight, *shifts)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12)
    for one_, other in zip(
        torch.autograd.grad(ours, (x, weight, *shifts), seed),
        torch.autograd.grad(wanted, (x, weight, *shifts), seed),
        strict=True,
    ):
        torch.testing.assert_close(one_, other, rtol=0, atol=1e-12)
