"""The two networks that most upscale models are: residual dense blocks, and a plain stack of convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from studio.models.upscalers import UpscalerPlan

_SLOPE = 0.2
_RESIDUAL = 0.2


class Rrdb(nn.Module):
    """Residual in residual dense blocks, then nearest-neighbour doublings (Wang et al. 2018, ESRGAN).

    Takes ``[N, C, H, W]`` in 0–1 with sides divisible by `unshuffle`, gives sides × scale in float32,
    not clipped. The last convolution is computed in float32, so that half precision leaves no bands.
    """

    def __init__(self, plan: UpscalerPlan) -> None:
        super().__init__()
        width = plan.features
        self.unshuffle = plan.unshuffle
        self.conv_first = _conv(plan.channels * plan.unshuffle**2, width)
        self.body = nn.ModuleList(DenseBlocks(width, plan.growth, plan.skips) for _ in range(plan.blocks))
        self.conv_body = _conv(width, width)
        self.conv_up = nn.ModuleList(_conv(width, width) for _ in range(plan.doublings))
        self.conv_hr = _conv(width, width)
        self.conv_last = _conv(width, plan.channels)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Enlarge; see the class."""
        x = pixels.to(self.conv_first.weight.dtype)
        if self.unshuffle > 1:
            x = functional.pixel_unshuffle(x, self.unshuffle)
        first = x = self.conv_first(x)
        for block in self.body:
            x = block(x)
        x = first + self.conv_body(x)
        for conv in self.conv_up:
            x = _bend(conv(functional.interpolate(x, scale_factor=2, mode="nearest")))
        return self.conv_last(_bend(self.conv_hr(x)).to(self.conv_last.weight.dtype))

    @property
    def precise(self) -> tuple[str, str]:
        """Weights that are kept in float32."""
        return "conv_last.weight", "conv_last.bias"


class DenseBlocks(nn.Module):
    """Three dense blocks and a way around them."""

    def __init__(self, width: int, growth: int, skips: bool) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(width, growth, skips)
        self.rdb2 = DenseBlock(width, growth, skips)
        self.rdb3 = DenseBlock(width, growth, skips)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        return x + _RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it; ESRGAN+ adds two short cuts (`skips`)."""

    def __init__(self, width: int, growth: int, skips: bool) -> None:
        super().__init__()
        self.conv1 = _conv(width, growth)
        self.conv2 = _conv(width + growth, growth)
        self.conv3 = _conv(width + 2 * growth, growth)
        self.conv4 = _conv(width + 3 * growth, growth)
        self.conv5 = _conv(width + 4 * growth, width)
        self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False) if skips else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        one = _bend(self.conv1(x))
        two = _bend(self.conv2(torch.cat((x, one), 1)))
        if self.conv1x1 is not None:
            two = two + self.conv1x1(x)
        three = _bend(self.conv3(torch.cat((x, one, two), 1)))
        four = _bend(self.conv4(torch.cat((x, one, two, three), 1)))
        if self.conv1x1 is not None:
            four = four + two
        return x + _RESIDUAL * self.conv5(torch.cat((x, one, two, three, four), 1))


class Srvgg(nn.Module):
    """A stack of convolutions at the small size that adds detail to the nearest pixel (Real-ESRGAN compact).

    Takes ``[N, C, H, W]`` in 0–1, gives sides × scale in float32, not clipped; its last convolution is
    computed in float32.
    """

    def __init__(self, plan: UpscalerPlan) -> None:
        super().__init__()
        width = plan.features
        layers: list[nn.Module] = [_conv(plan.channels, width), nn.PReLU(width)]
        for _ in range(plan.blocks):
            layers += [_conv(width, width), nn.PReLU(width)]
        self.body = nn.ModuleList([*layers, _conv(width, plan.channels * plan.scale**2)])
        self.scale = plan.scale

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Enlarge; see the class."""
        x = pixels
        for layer in self.body:
            weight = layer.weight
            assert isinstance(weight, torch.Tensor)
            x = layer(x.to(weight.dtype))
        nearest = functional.interpolate(pixels.to(x.dtype), scale_factor=self.scale, mode="nearest")
        return functional.pixel_shuffle(x, self.scale) + nearest

    @property
    def precise(self) -> tuple[str, str]:
        """Weights that are kept in float32."""
        last = len(self.body) - 1
        return f"body.{last}.weight", f"body.{last}.bias"


def _conv(taken: int, given: int) -> nn.Conv2d:
    return nn.Conv2d(taken, given, 3, padding=1)


def _bend(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, _SLOPE)
