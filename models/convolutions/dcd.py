"""Dynamic convolution decomposition (DCD, 2103.08756, equation 7): a static kernel and a small matrix that is seen.

    y = Λ(x) · (W * x) + P (norm(Φ(x) z) + z),   z = norm(Q x)

    u = means of x over bins,   h = S u,   h' = h · g(G h),   Λ = g(L h'),   Φ = F h',   g(t) = relu6(t + 3) / 3

z has d channels, Φ is d x d, Λ a factor for each channel. W is the convolution, Q and P are 1x1 convolutions, Q at its
stride. The bins are 2 x 2 in space; one for all where W is 1x1. P = 0 and L = 0 at the start, so that Λ = 1: exactly
the convolution.
"""

from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.options import check_count
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec, pool_to


def gate(x: Tensor) -> Tensor:
    """A factor from 0 to 2, and 1 at 0: relu6(x + 3) / 3.

    Args:
        x: Of any shape.

    Returns:
        Of the same shape.
    """
    return F.relu6(x + 3) / 3


@register_convolution("dcd")
class DynamicDecomposition(Convolution):
    """A convolution, scaled and with a matrix of low rank added, both by what is seen.

    Args:
        spec: Shape and geometry.
        inner: d, the channels of z; the root of the length of u if not given.
        bins: Of the descriptor u along each axis of space; 2, and 1 where the window is one position, if not given.
        reduction: Length of u or Φ, whichever is longer, divided by that of h, which is at least 4.

    Raises:
        ValueError: Options that are not possible.
    """

    start = "exact"

    def __init__(
        self, spec: ConvolutionSpec, *, inner: int | None = None, bins: int | None = None, reduction: int = 16
    ) -> None:
        super().__init__(spec)
        bins = (2 if spec.positions > 1 else 1) if bins is None else bins
        check_count("dcd", "bins", bins)
        check_count("dcd", "reduction", reduction)
        self.bins = (1, bins, bins)[-spec.dims :]  # along time there is one, unless there is time alone
        length = spec.in_channels * bins ** min(spec.dims, 2)
        inner = isqrt(length) if inner is None else inner
        check_count("dcd", "inner", inner)
        hidden = max(4, max(length, inner**2) // reduction)
        self.inner = inner
        self.conv: nn.Module = nn.Identity()  # the convolution itself, once it is there
        # Q and P multiply from the left, for features lie channels first
        self.q = nn.Linear(spec.in_channels, inner, bias=False)
        self.p = nn.Linear(inner, spec.out_channels, bias=False)
        self.norm_z, self.norm_phi = nn.BatchNorm1d(inner), nn.BatchNorm1d(inner)
        self.squeeze = nn.Linear(length, hidden, bias=False)
        self.gate = nn.Linear(hidden, hidden, bias=False)
        self.phi = nn.Linear(hidden, inner**2, bias=False)
        self.scale = nn.Linear(hidden, spec.out_channels, bias=False)
        nn.init.zeros_(self.p.weight)
        nn.init.zeros_(self.scale.weight)

    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """Take the convolution over."""
        self.conv = conv

    def compute(self, x: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, O, *sizes of the output)."""
        y = self.conv(x)
        sizes = y.shape[2:]
        h = self.squeeze(pool_to(x, self.bins).flatten(1))
        h = h * gate(self.gate(h))
        scale = gate(self.scale(h)).reshape(*y.shape[:2], *(1 for _ in sizes))
        z_bdn = self.norm_z(self._project(x).flatten(2))
        phi_bdd = self.phi(h).unflatten(1, (self.inner, self.inner))
        z_bdn = self.norm_phi(phi_bdd @ z_bdn) + z_bdn
        added = (self.p.weight @ z_bdn).unflatten(2, sizes)
        return scale * y + added

    def _project(self, x: Tensor) -> Tensor:
        """Q at the middle of each window of the convolution."""
        spec = self.spec
        borders: list[int] = []  # of the last axis first, as `F.pad` wants them
        for k, p, d in zip(spec.kernel_size[::-1], spec.padding[::-1], spec.dilation[::-1], strict=True):
            beyond = d * (k - 1) - 2 * p  # by how much the output is shorter at stride 1
            borders += [-(beyond // 2), -(beyond - beyond // 2)]
        x = F.pad(x, borders) if any(borders) else x
        for axis, step in enumerate(spec.stride, start=2):
            x = x[(slice(None),) * axis + (slice(None, None, step),)] if step > 1 else x
        return (self.q.weight @ x.flatten(2)).unflatten(2, x.shape[2:])
