import numpy as np
import pytest

pytest.importorskip("nilearn", reason="the brain data needs the extra `brain`")

from components.data.mni152 import _volumes, mni152_slices


@pytest.mark.filterwarnings("default")  # nilearn's own
def test_the_volumes_are_those_of_nilearns_loaders() -> None:
    from nilearn import datasets  # noqa: PLC0415 - takes seconds to import

    names = ("load_mni152_template", "load_mni152_gm_template", "load_mni152_wm_template")
    for volume, name in zip(_volumes(), names, strict=True):
        np.testing.assert_allclose(volume, getattr(datasets, name)(resolution=2).get_fdata(), atol=1e-6)


def test_the_template_gives_three_disjoint_splits_of_tissue_slices() -> None:
    data = mni152_slices()
    assert data.classes == ("background", "grey", "white")
    assert data.train.sizes == {(104, 112)}
    assert sum(len(split) for split in data.splits.values()) == 71
    for split in data.splits.values():
        values = np.stack(split.masks).ravel()
        fractions = np.bincount(values, minlength=3) / values.size
        assert 0.6 < fractions[0] < 0.85
        assert fractions[1:].min() > 0.05
    everything = np.concatenate([split.images for split in data.splits.values()])
    brightness = [
        everything[np.concatenate([s.masks for s in data.splits.values()])[:, None] == c].mean() for c in (1, 2)
    ]
    assert brightness[1] > brightness[0]  # white matter is brighter in T1
