"""Ready-made networks: U-Nets from MONAI, fitted to channels, classes and dimensions."""

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


def nnunet(
    in_channels: int,
    out_channels: int,
    spatial_dims: int = 2,
    channels: Sequence[int] = (32, 64, 128, 256, 512),
    kernel_sizes: Sequence[Sequence[int]] | None = None,
    strides: Sequence[Sequence[int]] | None = None,
    *,
    residual: bool = False,
    deep_supervision: bool = True,
) -> nn.Module:
    """Build nnU-Net's network (Isensee et al. 2021): MONAI's `DynUNet`, with deep supervision in training.

    Args:
        in_channels: channels of an image.
        out_channels: logits per pixel.
        spatial_dims: 2 or 3.
        channels: width of each level, at least three.
        kernel_sizes: of each level, one number per axis; 3 throughout by default.
        strides: of each level, one number per axis, the first all 1; by default 2 from the second level on. Axes of
            coarse spacing take 1 until the others have caught up.
        residual: residual blocks in the encoder (nnU-Net's ResEnc).
        deep_supervision: return the logits of all but the two coarsest levels in training, stacked along axis 1.

    Returns:
        A module from `(B, in_channels, *spatial)` to logits `(B, out_channels, *spatial)`; in training with deep
        supervision `(B, outputs, out_channels, *spatial)`, from fine to coarse.

    Example:
        >>> nnunet(1, 2, channels=(8, 16, 32)).eval()(torch.zeros(1, 1, 32, 32)).shape
        torch.Size([1, 2, 32, 32])
    """
    from monai.networks.nets import DynUNet  # noqa: PLC0415 - as above

    levels, axes = len(channels), [1] * spatial_dims
    kernels = [list(kernel) for kernel in kernel_sizes or [[3] * spatial_dims] * levels]
    steps = [list(stride) for stride in strides or [axes, *[[2] * spatial_dims] * (levels - 1)]]
    network: nn.Module = DynUNet(
        spatial_dims=spatial_dims,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernels,
        strides=steps,
        upsample_kernel_size=steps[1:],
        filters=list(channels),
        norm_name=("INSTANCE", {"affine": True}),
        deep_supervision=deep_supervision and levels > _UNSUPERVISED,
        deep_supr_num=max(levels - _UNSUPERVISED, 1),
        res_block=residual,
    )
    return network


_UNSUPERVISED = 3  # the finest level is the network's own output; the two coarsest are too small to be scored
