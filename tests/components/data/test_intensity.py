"""Changes of intensity beside SciPy's and MONAI's."""

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast
from scipy import ndimage
from torch import Tensor

from components.data.augmentation import intensity


def images(*spatial: int, count: int = 3, channels: int = 2) -> Tensor:
    return torch.randn(count, channels, *spatial, generator=torch.Generator().manual_seed(0)) * 3 + 7


@pytest.mark.parametrize("spatial", [(20, 31), (8, 9, 10), (2, 3)])
def test_blur_is_that_of_scipy(spatial: tuple[int, ...]) -> None:
    given, sigma = images(*spatial), torch.tensor([[0.4], [0.9], [1.3]])
    found = intensity.blurred(given, sigma, range(len(spatial)))
    for image, blurred, width in zip(given, found, sigma.flatten().tolist(), strict=True):
        for channel, expected in zip(image, blurred, strict=True):
            by_scipy = ndimage.gaussian_filter(channel.numpy(), width, mode="nearest", radius=4)
            np.testing.assert_allclose(expected.numpy(), by_scipy, atol=1e-4)


def test_blur_leaves_the_axes_alone_that_are_not_named() -> None:
    given = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 1, 5, 6, 7)
    torch.testing.assert_close(intensity.blurred(given, torch.ones(1, 1), [1, 2]), given)


@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_is_that_of_monai(inverted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    given, gamma = images(12, 12, channels=1), torch.tensor([[0.7], [1.0], [1.5]])
    found = intensity.gamma_corrected(given, gamma, torch.full((3, 1), inverted))
    for image, changed, power in zip(given, found, gamma.flatten().tolist(), strict=True):
        by_monai = AdjustContrast(power, invert_image=inverted, retain_stats=True)(image)
        torch.testing.assert_close(changed, by_monai.as_tensor(), atol=1e-4, rtol=1e-4)


def test_gamma_of_1_and_a_factor_of_1_and_a_zoom_of_1_change_nothing() -> None:
    given, ones = images(9, 11), torch.ones(3, 2)
    torch.testing.assert_close(intensity.gamma_corrected(given, ones, torch.zeros(3, 1)), given)
    torch.testing.assert_close(intensity.contrasted(given, ones), given)
    torch.testing.assert_close(intensity.coarsened(given, ones[:, :1], [0, 1]), given)


def test_contrast_keeps_mean_and_range_and_brightness_moves_by_the_deviation() -> None:
    given = images(30, 30)
    weaker = intensity.contrasted(given, torch.full((3, 2), 0.5))
    torch.testing.assert_close(weaker.mean((2, 3)), given.mean((2, 3)))
    torch.testing.assert_close(weaker.std((2, 3)), given.std((2, 3)) / 2)
    stronger = intensity.contrasted(given, torch.full((3, 2), 2.0))
    assert torch.equal(stronger.amax((2, 3)), given.amax((2, 3)))
    level = torch.tensor([[0.0, 1.0], [-1.0, 0.5], [0.2, 0.2]])
    moved = intensity.brightened(given, level).mean((2, 3)) - given.mean((2, 3))
    torch.testing.assert_close(moved, level * given.std((2, 3), correction=0), atol=1e-4, rtol=1e-4)


def test_a_low_resolution_has_fewer_values_along_the_axes_that_are_named() -> None:
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16).clone()
    coarse = intensity.coarsened(ramp, torch.tensor([[0.25]]), [0, 1])
    assert coarse.shape == ramp.shape
    assert coarse[0, 0, 0, [0, -1]].tolist() == [2, 14]  # the centres of the first and the last of four pixels
    assert torch.equal(intensity.coarsened(ramp, torch.tensor([[0.25]]), [0]), ramp)


def test_noise_is_a_share_of_the_deviation() -> None:
    given = images(64, 64) * 100
    normal = torch.randn(given.shape, generator=torch.Generator().manual_seed(1))
    changed = intensity.with_noise(given, torch.full((3, 1), 0.1), normal)
    torch.testing.assert_close((changed - given).std((2, 3)), given.std((2, 3)) * 0.1, rtol=0.05, atol=0)
