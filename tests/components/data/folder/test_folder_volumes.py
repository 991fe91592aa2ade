"""NIfTI volumes: turned to one orientation, compared with their masks, and recorded with their spacing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data import SegmentationData, find_warnings, summarize
from components.data.folder import open_folder, read_image, read_labels, split_folder
from components.data.folder.files import checked_volume
from components.data.folder.names import stem_of
from components.errors import InvalidInputError, MissingExtraError
from components.image_reader import suffix_of
from tests.folders import save_volume, volume_folder

nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")

BLOCK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
MASK = (BLOCK > 20).astype(np.uint8)
RATIO = (0.6, 0.2, 0.2)


def axes(*columns: tuple[float, float, float], origin: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """An affine whose stored axes run along these vectors."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    affine[:3, 3] = origin
    return affine


STRAIGHT = axes((2, 0, 0), (0, 3, 0), (0, 0, 4))


def pair(
    root: Path,
    name: str = "a",
    image: np.ndarray = BLOCK,
    mask: np.ndarray = MASK,
    affine: np.ndarray = STRAIGHT,
    of_mask: np.ndarray | None = None,
    suffix: str = ".nii",
) -> Path:
    for part, array, matrix in (("images", image, affine), ("masks", mask, affine if of_mask is None else of_mask)):
        (root / part).mkdir(parents=True, exist_ok=True)
        save_volume(root / part / f"{name}{suffix}", array, matrix)
    return root


def loaded(root: Path, **options: Any) -> SegmentationData:
    (data,) = split_folder(open_folder(root, **options), ratio=RATIO)
    return data


def refused(root: Path) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        open_folder(root)
    return str(caught.value).replace(str(root), "bad").splitlines()


@pytest.mark.parametrize(
    ("affine", "stored", "orientation", "spacing"),
    [
        (STRAIGHT, BLOCK, "RAS", (2, 3, 4)),
        (axes((-2, 0, 0), (0, -3, 0), (0, 0, 4)), BLOCK[::-1, ::-1], "LPS", (2, 3, 4)),
        (axes((0, 3, 0), (0, 0, -4), (2, 0, 0)), BLOCK.transpose(1, 2, 0)[:, ::-1], "AIR", (2, 3, 4)),
        # a tilted scan is turned to the nearest axes, and nothing is resampled
        (axes((-1.9, 0.3, 0), (0.45, 2.9, 0), (0, 0, 4)), BLOCK[::-1], "LAS", (1.9235, 2.9347, 4)),
    ],
)
def test_axes_are_turned_to_right_front_and_up_and_take_their_spacing_along(
    tmp_path: Path, affine: np.ndarray, stored: np.ndarray, orientation: str, spacing: tuple[float, ...]
) -> None:
    save_volume(tmp_path / "a.nii.gz", stored, affine)
    volume = checked_volume(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.array, BLOCK)
    assert volume.array.dtype == BLOCK.dtype
    assert (volume.orientation, volume.shape) == (orientation, stored.shape)
    assert volume.spacing == pytest.approx(spacing, abs=1e-3)
    assert np.array_equal(read_image(tmp_path / "a.nii.gz"), BLOCK)
    assert np.array_equal(read_labels(tmp_path / "a.nii.gz"), BLOCK)


def test_the_slope_of_the_header_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(BLOCK, STRAIGHT)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.array_equal(
        checked_volume(tmp_path / "a.nii").array, 0.5 * nibabel.load(tmp_path / "a.nii").dataobj.get_unscaled() - 3
    )


def test_units_other_than_mm_become_mm(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(BLOCK, STRAIGHT)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    assert checked_volume(tmp_path / "a.nii").spacing == pytest.approx((0.002, 0.003, 0.004))


@pytest.mark.parametrize(
    ("image", "mask", "channels", "spatial", "spacing"),
    [
        (np.stack([BLOCK, -BLOCK], axis=-1), MASK, 2, (2, 3, 4), (2.0, 3.0, 4.0)),
        (np.stack([BLOCK, -BLOCK], axis=-1)[:, :, :, None], MASK, 2, (2, 3, 4), (2.0, 3.0, 4.0)),
        (BLOCK[..., None], MASK[..., None], 1, (2, 3, 4), (2.0, 3.0, 4.0)),
        (BLOCK[:, :, -1:], MASK[:, :, -1:], 1, (2, 3), (2.0, 3.0)),
        (BLOCK[-1:], MASK[-1:], 1, (3, 4), (3.0, 4.0)),
        (np.stack([BLOCK, -BLOCK], axis=-1)[-1:], MASK[-1:], 2, (3, 4), (3.0, 4.0)),
        (BLOCK[..., -3:], MASK[..., -3:], 1, (2, 3, 3), (2.0, 3.0, 4.0)),  # three planes are no colours
    ],
)
def test_a_fourth_axis_is_channels_and_a_single_slice_is_an_image(
    tmp_path: Path, image: np.ndarray, mask: np.ndarray, channels: int, spatial: tuple[int, ...], spacing: tuple[float]
) -> None:
    (case,) = open_folder(pair(tmp_path, image=image, mask=mask), normalize="none").cases.values()
    assert case.image.shape == (channels, *spatial)
    assert case.grid is not None
    assert case.grid.spacing == spacing
    if channels > 1:
        assert np.array_equal(case.image[0], -case.image[1])
    assert case.labels.shape == spatial


def test_cases_of_every_orientation_lie_alike_and_it_is_recorded(tmp_path: Path) -> None:
    left = axes((-2, 0, 0), (0, 3, 0), (0, 0, 4))
    for index in range(5):
        offset = BLOCK + 100 * index
        if index % 2:
            pair(tmp_path / "v", f"c{index}", offset[::-1], MASK[::-1], left)
        else:
            pair(tmp_path / "v", f"c{index}", offset, MASK, suffix=".NII.gz")
    data = loaded(tmp_path / "v", normalize="minmax")
    assert data.spatial_dims == 3
    for split in data.splits.values():
        for image, mask in zip(split.images, split.masks, strict=True):
            assert np.array_equal(image[0], (BLOCK / 23).astype(np.float32))
            assert np.array_equal(mask[0], MASK)
    summary = summarize(data)
    assert summary["orientation"] == {"used": "RAS", "stored": {"LAS": 2, "RAS": 3}}
    assert summary["spacing"]["train"] == {
        "smallest": [2.0, 3.0, 4.0],
        "median": [2.0, 3.0, 4.0],
        "largest": [2.0, 3.0, 4.0],
    }


def test_spacings_that_differ_are_recorded_case_by_case_warned_of_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for depth in (4, 6, 6.2):
        root = tmp_path / str(depth)
        for index in range(5):
            pair(root, f"c{index}", BLOCK + index)
        pair(root, "c5", 3 * BLOCK**2, affine=axes((2, 0, 0), (0, 3, 0), (0, 0, depth)))
        data = loaded(root)
        prints.add(data.fingerprint)
        if depth == 4:
            assert find_warnings(data) == []
            continue
        name = next(name for name, split in data.splits.items() if "c5" in split.cases)
        assert summarize(data)["spacing"][name]["largest"] == [2.0, 3.0, depth]
        if depth == 6:
            assert find_warnings(data) == []
        else:
            (warning,) = find_warnings(data)
            assert warning == (
                f"spacing along axis 3 differs 1.55 times, from 4 mm in case {data.train.cases[0]} to 6.2 mm in case "
                "c5: the same object has other sizes in voxels. Resample the volumes to one spacing."
            )
    assert len(prints) == 3


def test_image_and_mask_that_do_not_lie_alike_are_told_with_both_files(tmp_path: Path) -> None:
    root = tmp_path / "v"
    pair(root, "good")
    pair(root, "shape", mask=MASK[:, :, :3])
    pair(root, "shifted", of_mask=axes((2, 0, 0), (0, 3, 0), (0, 0, 4), origin=(0, 1.5, 0)))
    pair(root, "turned", mask=MASK[::-1], of_mask=axes((-2, 0, 0), (0, 3, 0), (0, 0, 4), origin=(2, 0, 0)))
    pair(root, "rounded", of_mask=axes((2, 0, 0), (0, 3, 0), (0, 0, 4), origin=(0, 1e-3, 0)))
    np.save(root / "masks" / "mixed.npy", MASK)
    save_volume(root / "images" / "mixed.nii", BLOCK)
    two = "[2 0 0 0; 0 3 0 0; 0 0 4 0]"
    mixed, shape, shifted, turned = refused(root)
    assert mixed == (
        "bad/images/mixed.nii: of it and its mask bad/masks/mixed.npy only mixed.nii is NIfTI and says how it lies in "
        "space. Hint: save both as NIfTI, with one affine."
    )
    assert shape == (
        "bad/images/shape.nii: its mask bad/masks/shape.nii has 2×3×3 voxels, the image 2×3×4. Hint: resample the "
        "mask onto the image, with nearest neighbours."
    )
    assert shifted == (
        "bad/images/shifted.nii: its mask bad/masks/shifted.nii has the affine [2 0 0 0; 0 3 0 1.5; 0 0 4 0], the "
        f"image {two}: they lie up to 0.75 voxels apart. Hint: resample the mask onto the image, or, if only its "
        "header is wrong, save it with the image's affine."
    )
    assert turned == (
        "bad/images/turned.nii: its mask bad/masks/turned.nii has the orientation LAS (affine [-2 0 0 2; 0 3 0 0; "
        f"0 0 4 0]), the image RAS (affine {two}). Hint: turn the mask as the image is, or, if only its header is "
        "wrong, save it with the image's affine."
    )


def test_other_numbers_of_channels_name_the_file(tmp_path: Path) -> None:
    for index in range(3):
        pair(tmp_path / "v", f"c{index}")
    pair(tmp_path / "v", "odd", image=np.stack([BLOCK, BLOCK], axis=-1))
    (line,) = refused(tmp_path / "v")
    assert line.startswith("bad/images/odd.nii: found 2 channel(s) of 2×3×4, most images have 1 channel(s) in 3D. ")


def test_a_damaged_file_and_one_without_a_place_in_space_are_told(tmp_path: Path) -> None:
    root = pair(tmp_path / "v", "cut", suffix=".nii.gz")
    whole = (root / "images" / "cut.nii.gz").read_bytes()
    (root / "images" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    pair(root, "flat")
    header = nibabel.Nifti1Header()
    header.set_sform(axes((2, 0, 0), (0, 3, 0), (0, 0, 0)), code=1)
    nibabel.save(nibabel.Nifti1Image(BLOCK, None, header), root / "images" / "flat.nii")
    pair(root, "mask", mask=np.stack([MASK, MASK], axis=-1))
    lines = refused(root)
    assert lines[0].startswith("bad/images/cut.nii.gz: does not decode (")
    assert lines[1] == "bad/images/flat.nii: found the affine [2 0 0 0; 0 3 0 0; 0 0 0 0], which places no volume."
    assert lines[2].startswith("bad/masks/mask.nii: found 2 channels, and 3 pixels that are marked in more than one.")


def test_without_nibabel_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pair(tmp_path / "v")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(
        MissingExtraError, match=r"a\.nii: NIfTI needs nibabel\. Hint: pip install 'segtune\[medical\]'$"
    ):
        open_folder(root)


def test_the_stem_is_what_stands_before_the_whole_suffix(tmp_path: Path) -> None:
    for name, parts in {
        "a.b.nii.gz": ("a.b", ".nii.gz"),
        "A.NII.GZ": ("A", ".nii.gz"),
        "a.nii": ("a", ".nii"),
        "a.gz": ("a", ".gz"),
        "a.PNG": ("a", ".png"),
    }.items():
        assert (stem_of(Path(name)), suffix_of(Path(name))) == parts
    pair(tmp_path, suffix=".nii")
    pair(tmp_path, suffix=".nii.gz")
    assert "bad/images/a.nii.gz: a.nii has the same stem. Hint: keep one of the two." in refused(tmp_path)


def test_volumes_of_different_sizes_are_one_data_set(tmp_path: Path) -> None:
    data = loaded(volume_folder(tmp_path / "v", sizes=((20, 18, 16), (14, 22, 16))))
    assert (data.mode, data.classes, data.spatial_dims) == ("multiclass", ("background", "class_1", "class_2"), 3)
    assert data.train.sizes == {(20, 18, 16), (14, 22, 16)}
    for image in data.train.images:
        assert (float(image.mean()), float(image.std())) == pytest.approx((0, 1), abs=1e-5)


def test_a_volume_with_one_channel_per_class(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((8, 9, 10), np.uint8)
    mask[2:5, 3:6, 4:7], mask[5:7, 3:6, 4:7] = 1, 2
    for case in "ab":
        save_volume(tmp_path / "images" / f"{case}.nii.gz", np.random.default_rng(0).normal(size=mask.shape))
        save_volume(tmp_path / "masks" / f"{case}.nii.gz", np.stack([mask == c for c in range(3)], -1).astype(np.uint8))
    assert np.array_equal(open_folder(tmp_path).masks["a"], mask)
