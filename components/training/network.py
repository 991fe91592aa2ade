"""The default network: a small residual U-Net from MONAI, fitted to channels and classes."""

from collections.abc import Sequence

from torch import nn


def small_unet(
    in_channels: int,
    out_channels: int,
    spatial_dims: int = 2,
    channels: Sequence[int] = (16, 32, 64),
    num_res_units: int = 1,
) -> nn.Module:
    """Build a U-Net (Ronneberger et al. 2015; residual form of Kerfoot et al. 2018) with instance normalisation.

    Args:
        in_channels: channels of an image.
        out_channels: logits per pixel.
        spatial_dims: 2 or 3.
        channels: width of each level; each level below the first halves the size, so every spatial size must be a
            multiple of `2 ** (len(channels) - 1)`.
        num_res_units: convolutions in each residual unit.

    Returns:
        A module from `(B, in_channels, *spatial)` to logits `(B, out_channels, *spatial)`.

    Example:
        >>> small_unet(1, 3)(torch.zeros(1, 1, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """
    from monai.networks.nets import UNet  # noqa: PLC0415 - half a second that a foreign network need not pay

    network: nn.Module = UNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=tuple(channels),
        strides=(2,) * (len(channels) - 1),
        num_res_units=num_res_units,
    )
    return network
