"""Nonlocal blocks under the names of other repositories, written from their formulas: what they compute, slowly."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(dims: int) -> type[nn.Module]:
    """The convolution of so many dimensions."""
    return {2: nn.Conv2d, 3: nn.Conv3d}[dims]


def batch_norm(dims: int) -> type[nn.Module]:
    """The batch norm of so many dimensions."""
    return {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]


def pool(x: Tensor) -> Tensor:
    """Max-pooling by 2 in height and width of (B, C, H, W) or (B, C, T, H, W)."""
    return F.max_pool2d(x, 2) if x.dim() == 4 else F.max_pool3d(x, (1, 2, 2))


def relate(kernel: str, theta: Tensor, phi: Tensor, *, scale: float = 1.0, project: Tensor | None = None) -> Tensor:
    """A (B, N, M) of theta (B, C, ...) and phi (B, C, ...)."""
    theta, phi = theta.flatten(2).transpose(1, 2), phi.flatten(2)
    if kernel == "concat":
        first, second = project.flatten().chunk(2)
        return ((theta @ first).unsqueeze(2) + (second @ phi).unsqueeze(1)).relu() / phi.shape[2]
    scores = theta @ phi * scale
    return scores / phi.shape[2] if kernel == "dot" else scores.softmax(2)


def attend(a: Tensor, g: Tensor, like: Tensor) -> Tensor:
    """A g at the positions of ``like``."""
    return (a @ g.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(g.shape[0], g.shape[1], *like.shape[2:])


class AlexHex7(nn.Module):
    """NONLocalBlock: pools phi and g where it pools; W is a convolution, or that and a batch norm."""

    def __init__(self, channels: int, *, kernel: str, sub_sample: bool, norm: bool, dims: int = 3) -> None:
        super().__init__()
        inner, layer = channels // 2, conv(dims)
        self.kernel, self.sub_sample = kernel, sub_sample
        self.g = layer(channels, inner, 1)
        self.W = layer(inner, channels, 1)
        if norm:
            self.W = nn.Sequential(self.W, batch_norm(dims)(channels))
        if kernel != "gaussian":
            self.theta, self.phi = layer(channels, inner, 1), layer(channels, inner, 1)
        if kernel == "concat":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())
        if sub_sample:
            self.g = nn.Sequential(self.g)
            if kernel != "gaussian":
                self.phi = nn.Sequential(self.phi)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi = (x, x) if self.kernel == "gaussian" else (self.theta(x), self.phi(x))
        g = self.g(x)
        if self.sub_sample:
            phi, g = pool(phi), pool(g)
        project = self.concat_project[0].weight if self.kernel == "concat" else None
        return x + self.W(attend(relate(self.kernel, theta, phi, project=project), g, x))


class SlowFast(nn.Module):
    """SlowFast's Nonlocal: pools the features that phi and g see, and scales a softmax by Cs^-1/2."""

    def __init__(self, channels: int, *, pools: bool = True, kernel: str = "embedded", norm_name: str = "bn") -> None:
        super().__init__()
        inner = channels // 2
        self.kernel, self.pools, self.norm_name = kernel, pools, norm_name
        self.conv_theta, self.conv_phi, self.conv_g = (nn.Conv3d(channels, inner, 1) for _ in range(3))
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.add_module(norm_name, nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        seen, theta = pool(x) if self.pools else x, self.conv_theta(x)
        scale = theta.shape[1] ** -0.5 if self.kernel == "embedded" else 1.0
        a = relate(self.kernel, theta, self.conv_phi(seen), scale=scale)
        return x + getattr(self, self.norm_name)(self.conv_out(attend(a, self.conv_g(seen), x)))


class _StageUnit(nn.Module):
    """g, bn, and a weight for each term of a unit of :class:`SpatialStage`."""

    def __init__(self, channels: int, inner: int, weights: tuple[str, ...], dims: int) -> None:
        super().__init__()
        layer = conv(dims)
        self.g = layer(channels, inner, 1, bias=False)
        self.bn = batch_norm(dims)(channels)
        for name in weights:
            self.add_module(name, layer(inner, channels, 1, bias=False))


class SpatialStage(nn.Module):
    """The SNL repositories' Stage: ``nl``, ``ns``, ``snl`` of 2108.02451, or ``snl_2019`` (no ReLU) of 1911.01059."""

    def __init__(self, channels: int, *, kind: str, units: int = 1, dims: int = 2) -> None:
        super().__init__()
        inner, layer = channels // 2, conv(dims)
        self.kind = kind
        self.t, self.p = layer(channels, inner, 1, bias=False), layer(channels, inner, 1, bias=False)
        weights = ("w_1", "w_2") if kind.startswith("snl") else ("w_2",)
        self.stages = nn.Sequential(*(_StageUnit(channels, inner, weights, dims) for _ in range(units)))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "snl":
            m = self.t(x).relu().flatten(2).transpose(1, 2) @ self.p(x).relu().flatten(2)
            m = (m + m.transpose(1, 2)) / 2
            d = m.sum(2)
            r = torch.where(d > 0, d, 1.0).rsqrt() * (d > 0)
            a = m * r.unsqueeze(1) * r.unsqueeze(2)
        else:
            a = relate("embedded", self.t(x), self.p(x))
        for unit in self.stages:
            g = unit.g(x)
            filtered = attend(a, g, x)
            if self.kind == "ns":
                y = unit.w_2(g - filtered)
            else:
                y = unit.w_2(filtered) + (unit.w_1(g) if hasattr(unit, "w_1") else 0)
            y = unit.bn(y)
            x = x + (y if self.kind == "snl_2019" else y.relu())
        return x


class SpatialNL(nn.Module):
    """The CGNL repository's nonlocal block."""

    def __init__(self, channels: int, *, use_scale: bool = False) -> None:
        super().__init__()
        inner = channels // 2
        self.scale = inner**-0.5 if use_scale else 1.0
        self.t, self.p, self.g = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.z, self.bn = nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        a = relate("embedded", self.t(x), self.p(x), scale=self.scale)
        return x + self.bn(self.z(attend(a, self.g(x), x)))


class SpatialCGNL(nn.Module):
    """The compact block, by its full matrix over channels and positions: dot product, or Taylor series."""

    def __init__(self, channels: int, *, groups: int, order: int | None, use_scale: bool) -> None:
        super().__init__()
        inner = channels // 2
        self.groups, self.order, self.use_scale = groups, order, use_scale
        self.t, self.p, self.g = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.z = nn.Conv2d(inner, channels, 1, groups=groups, bias=False)
        self.gn = nn.GroupNorm(groups, channels)

    def forward(self, x: Tensor) -> Tensor:
        t, p, g = (layer(x).reshape(x.shape[0], self.groups, -1) for layer in (self.t, self.p, self.g))
        product = t.unsqueeze(-1) * p.unsqueeze(-2)
        if self.order is None:
            a = product
        else:
            gamma = 1e-4
            series = [(2 * gamma) ** k / math.factorial(k) * product**k for k in range(self.order + 1)]
            a = math.exp(-2 * gamma) * sum(series)
        if self.use_scale:
            a = a * t.shape[-1] ** -0.5
        y = (a @ g.unsqueeze(-1)).reshape(x.shape[0], -1, *x.shape[2:])
        return x + self.gn(self.z(y))


class Disentangled(nn.Module):
    """DNL of its own repository: gamma on the pairwise term, features pooled before the convolutions."""

    def __init__(
        self, channels: int, *, temperature: float, downsample: bool, use_out: bool = True, out_bn: bool = True
    ) -> None:
        super().__init__()
        inner = channels // 2
        self.factor, self.downsample = inner**-0.5 / temperature, downsample
        self.conv_query, self.conv_key = nn.Conv2d(channels, inner, 1), nn.Conv2d(channels, inner, 1)
        self.conv_value = nn.Conv2d(channels, inner if use_out else channels, 1, bias=use_out)
        self.conv_out = nn.Conv2d(inner, channels, 1, bias=False) if use_out else None
        self.out_bn = nn.BatchNorm2d(channels) if out_bn else None
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        seen = pool(x) if self.downsample else x
        query, key, value = self.conv_query(x), self.conv_key(seen), self.conv_value(seen)
        query, key = query - query.mean((2, 3), keepdim=True), key - key.mean((2, 3), keepdim=True)
        pairwise = relate("embedded", query, key, scale=self.factor)
        unary = self.conv_mask(seen).flatten(2).softmax(2)
        y = attend(self.gamma * pairwise + unary, value, x)
        y = y if self.conv_out is None else self.conv_out(y)
        return x + (y if self.out_bn is None else self.out_bn(y))


def randomise(module: nn.Module, *, std: float = 0.3, seed: int = 0) -> nn.Module:
    """Random parameters and running statistics, in float64 and eval mode."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * std)
        for child in module.modules():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                child.weight.add_(1)
                child.running_mean.normal_(std=0.1, generator=generator)
                child.running_var.uniform_(0.5, 2, generator=generator)
    return module
