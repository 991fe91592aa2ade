"""Whole folders become data sets; what is wrong with one is told at once, file by file."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from components.data import SegmentationData, find_warnings, summarize
from components.data.folder import groups_by_pattern, groups_by_table, open_folder, split_folder
from components.errors import InvalidInputError
from tests.folders import png_folder, tiff_folder

ROOT = os.environ.get("SEGTUNE_DATA")


def empty(root: Path) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    return root


def save(folder: Path, name: str, image: np.ndarray, mask: np.ndarray, suffix: str = ".npy") -> None:
    for part, array in (("images", image), ("masks", mask)):
        if suffix == ".npy":
            np.save(folder / part / f"{name}.npy", array)
        else:
            tifffile.imwrite(folder / part / f"{name}.tif", array, photometric="minisblack")


def refused(root: Path, **options: Any) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        open_folder(root, **options)
    return str(caught.value).splitlines()


def test_colour_tiffs_with_an_ignored_value(tmp_path: Path) -> None:
    folder = open_folder(tiff_folder(tmp_path / "discs"), ignore=255)
    assert folder.classes.values == (0, 1, 2)
    (data,) = split_folder(folder, grouping=lambda stems: groups_by_pattern(stems, "^(p.)_"))
    assert (data.name, data.mode, data.in_channels, data.spatial_dims) == ("discs", "multiclass", 3, 2)
    assert (data.foreground, data.ignore_index) == (("class_1", "class_2"), 255)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "val": 2, "test": 2}
    for split in data.splits.values():
        for image, mask in zip(split.images, split.masks, strict=True):
            assert image.dtype == np.float32
            assert image.shape == (3, 48, 48)
            assert np.abs(image.mean(axis=(1, 2))).max() < 1e-5
            assert image.std(axis=(1, 2)) == pytest.approx([1, 1, 1], abs=1e-5)
            assert (mask[:4] == 255).all()
            assert set(np.unique(mask[4:])) <= {0, 1, 2}
    assert data.facts == {
        "mask_values": [0, 1, 2],
        "mask_meaning": ["0 background, 1 class_1, 2 class_2, 255 without a label"],
        "stored_types": ["uint8"],
        "stored_range": [0.0, 254.0],
        "unused_cases": 0,
    }
    assert find_warnings(data) == []


def test_without_ignore_the_same_folder_asks_what_its_values_mean(tmp_path: Path) -> None:
    root = tiff_folder(tmp_path / "discs", cases=2)
    assert refused(root)[0].startswith("data.masks: found the values 0, 1, 2, 255; which is which? Hint: ")
    assert refused(root, classes=["background", "a", "b"])[0] == (
        f"{root}/masks/p0_0.tif: the value 255 (192 pixels) is none of the classes' values 0, 1, 2. "
        "Hint: add it to data.classes, or name it in data.ignore if it marks pixels without a label."
    )


def test_binary_masks_have_a_channel_axis_and_0_and_1(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=3)
    folder = open_folder(root, classes=["disc"])
    stored = np.asarray(Image.open(root / "masks" / "case_1.png"))
    assert np.array_equal(folder.masks["case_1"], (stored == 255)[None])
    assert folder.masks["case_1"].dtype == np.uint8
    assert folder.data({"train": ["case_0"], "val": ["case_1"], "test": []}, dict.fromkeys(folder.cases, "g")).mode == (
        "binary"
    )


def test_the_order_of_reading_is_that_of_the_stems_and_nothing_depends_on_the_files_format(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "png", cases=6)
    other = empty(tmp_path / "tif")
    for part in ("images", "masks"):
        for path in sorted((root / part).iterdir(), reverse=True):
            tifffile.imwrite(other / part / f"{path.stem}.tif", np.asarray(Image.open(path)), compression="lzw")
    data, again = (split_folder(open_folder(folder))[0] for folder in (root, other))
    assert data.fingerprint == again.fingerprint


def test_sizes_may_differ(tmp_path: Path) -> None:
    root = empty(tmp_path / "sizes")
    for index, size in enumerate([(8, 9), (16, 5), (8, 9), (7, 7)]):
        image = np.random.default_rng(index).random(size)
        save(root, f"c{index}", image, (image > 0.5).astype(np.uint8))
    (data,) = split_folder(open_folder(root), ratio=(0.5, 0.5, 0))
    assert {image.shape for split in data.splits.values() for image in split.images} == {
        (1, 8, 9),
        (1, 16, 5),
        (1, 7, 7),
    }
    assert len(data.test) == 0


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("channels", [None, 0, -1])
def test_volumes(tmp_path: Path, suffix: str, channels: int | None) -> None:
    root = empty(tmp_path / "volumes")
    random = np.random.default_rng(0)
    volumes = random.integers(0, 4000, (4, 6, 10, 12), np.uint16)
    for index, volume in enumerate(volumes):
        image = volume if channels is None else np.stack([volume, volume // 2], axis=channels)
        save(root, f"v{index}", image, (volume > 2000).astype(np.uint8), suffix)
    (data,) = split_folder(open_folder(root, normalize="none"), ratio=(0.5, 0.5, 0))
    assert data.spatial_dims == 3
    assert data.in_channels == (1 if channels is None else 2)
    index = int(data.train.cases[0][1:])
    assert np.array_equal(data.train.images[0][0], (volumes[index] / np.float32(65535)).astype(np.float32))
    assert data.train.masks[0].shape == (1, 6, 10, 12)


def test_pages_are_channels_where_the_mask_has_none(tmp_path: Path) -> None:
    root = empty(tmp_path / "pages")
    image = np.random.default_rng(0).integers(0, 255, (5, 10, 12), np.uint8)
    for name in "ab":
        save(root, name, image, image[0] % 2, ".tif")
    (data,) = split_folder(open_folder(root, normalize="none"), ratio=(0.5, 0.5, 0))
    assert np.array_equal(data.train.images[0], image / np.float32(255))
    assert data.spatial_dims == 2


def test_axes_of_length_1_do_not_matter(tmp_path: Path) -> None:
    root = empty(tmp_path / "thin")
    image = np.random.default_rng(0).random((6, 7)).astype(np.float32)
    mask = (image > 0.5).astype(np.uint8)
    for name, (stored, label) in {
        "a": (image, mask),
        "b": (image[None], mask[None]),
        "c": (image[..., None], mask[..., None]),
        "d": (image[None, ..., None], mask),
        "e": (image, mask[None, None]),
    }.items():
        save(root, name, stored, label)
    folder = open_folder(root)
    assert {case.image.shape for case in folder.cases.values()} == {(1, 6, 7)}
    assert len({case.image.tobytes() for case in folder.cases.values()}) == 1
    assert all(np.array_equal(found, mask[None]) for found in folder.masks.values())


def test_grey_masks_saved_in_colour_count_as_grey_and_coloured_ones_are_refused(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=3)
    for path in (root / "masks").iterdir():
        Image.open(path).convert("RGB").save(path)
    assert open_folder(root).classes.values == (0, 255)
    coloured = np.zeros((32, 32, 3), np.uint8)
    coloured[:4, :, 0], coloured[4:8, :, 1] = 255, 255
    Image.fromarray(coloured).save(root / "masks" / "case_1.png")
    assert refused(root) == [
        (
            f"{root}/masks/case_1.png: a colour image, where a mask has one value a class. "
            "Hint: save class indices as 8-bit grey PNG."
        )
    ]


def test_many_problems_come_together_in_the_order_of_the_cases(tmp_path: Path) -> None:
    root = empty(tmp_path / "bad")
    image, mask = np.random.default_rng(0).random((6, 8)), np.tile(np.array([0, 1], np.uint8), (6, 4))
    for name in "fghi":
        save(root, name, image, mask)
    save(root, "a", image, mask.T)
    holes = image.copy()
    holes[0, :3] = [np.nan, np.inf, -np.inf]
    save(root, "b", holes, mask)
    save(root, "c", image, mask * 0.5)
    save(root, "d", np.stack([image] * 3, axis=-1), mask)
    save(root, "e", np.stack([image] * 3), np.stack([mask] * 3))
    save(root, "z", image, np.zeros((2, 2, 2, 2, 2), np.uint8))
    (root / "images" / "j.npy").write_bytes(b"nothing")
    np.save(root / "masks" / "j.npy", mask)
    lines = [line.replace(str(root), "bad") for line in refused(root)]
    assert lines == [
        (
            "bad/images/a.npy: found shape 6×8, its mask bad/masks/a.npy has 8×6. "
            "Hint: both need the same height and width."
        ),
        "bad/images/b.npy: 3 pixels are NaN or infinite. Hint: fill them first.",
        (
            "bad/masks/c.npy: found the value 0.5; a mask holds whole numbers, one per class. "
            "Hint: if its edges are soft, data.threshold: 0.25 cuts them."
        ),
        lines[3],
        "bad/masks/z.npy: found a mask of shape (2, 2, 2, 2, 2); expected (H, W), or (D, H, W).",
        (
            "bad/images/d.npy: found 3 channel(s) of 6×8, most images have 1 channel(s) in 2D. "
            "Hint: convert it, or take it out."
        ),
        (
            "bad/images/e.npy: found 1 channel(s) of 3×6×8, most images have 1 channel(s) in 2D. "
            "Hint: convert it, or take it out."
        ),
    ]
    assert lines[3].startswith("bad/images/j.npy: does not decode (")


def test_values_outside_the_classes_name_every_file(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=30)
    for index in range(25):
        mask = np.asarray(Image.open(root / "masks" / f"case_{index}.png")).copy()
        mask[0, : index + 1] = 9
        Image.fromarray(mask).save(root / "masks" / f"case_{index}.png")
    lines = refused(root, classes={"disc": 255})
    assert len(lines) == 21
    assert lines[1].startswith(
        f"{root}/masks/case_1.png: the value 9 (2 pixels) is none of the classes' values 0, 255. Hint: add it to "
    )
    assert lines[-1] == "… and 5 more."
    assert open_folder(root, classes={"disc": 255}, ignore=9).masks["case_1"][0, 0, :3].tolist() == [255, 255, 0]


def test_an_unknown_normalisation_is_refused(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=2)
    assert refused(root, normalize="scale") == [
        "normalize: found 'scale'; use one of zscore, zscore_nonzero, minmax, percentile, none."
    ]


def test_folds_share_their_arrays_and_validate_each_case_once(tmp_path: Path) -> None:
    folder = open_folder(png_folder(tmp_path / "discs"))
    (whole,) = split_folder(folder, seed=3)
    folds = split_folder(folder, seed=3, folds=4)
    assert [fold.name for fold in folds] == ["discs"] * 4
    pooled = sorted((*whole.train.cases, *whole.val.cases))
    assert sorted(case for fold in folds for case in fold.val.cases) == pooled
    for fold in folds:
        assert fold.test.cases == whole.test.cases
        assert sorted((*fold.train.cases, *fold.val.cases)) == pooled
        for split in fold.splits.values():
            for case, image, mask in zip(split.cases, split.images, split.masks, strict=True):
                assert image is folder.cases[case].image
                assert mask is folder.masks[case]
    assert len({fold.fingerprint for fold in folds}) == 4


def test_a_split_file_is_used_where_there_is_one_unless_a_ratio_is_given(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs")
    parts = {"train": ["case_4", "case_2"], "val": ["case_0"]}
    (root / "split.json").write_text(json.dumps(parts))
    (root / "other.json").write_text(json.dumps({"train": ["case_9"], "val": ["case_8"], "test": ["case_7"]}))
    folder = open_folder(root)
    (data,) = split_folder(folder)
    assert (data.train.cases, data.val.cases, data.test.cases) == (("case_4", "case_2"), ("case_0",), ())
    assert data.facts["unused_cases"] == 7
    assert split_folder(folder, split="other.json")[0].test.cases == ("case_7",)
    assert len(split_folder(folder, ratio=(0.5, 0.3, 0.2))[0].train) == 5
    with pytest.raises(InvalidInputError, match=r"^data\.split: .*nothing\.json: no such file\.$"):
        split_folder(folder, split="nothing.json")


def test_a_train_split_without_foreground_is_refused(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=4)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(root / "masks" / "case_0.png")
    (root / "split.json").write_text(json.dumps({"train": ["case_0"], "val": ["case_1"]}))
    with pytest.raises(InvalidInputError) as caught:
        split_folder(open_folder(root))
    assert str(caught.value) == (
        "data 'discs': no foreground (foreground) anywhere in train. "
        "Hint: are the masks empty, or is the split lopsided?"
    )


def test_the_data_is_named_for_the_folder_even_where_the_path_does_not_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(png_folder(tmp_path / "discs", cases=4))
    folder = open_folder(Path())
    assert split_folder(folder)[0].name == "discs"
    assert split_folder(folder, folds=2)[0].name == "discs"


def real(name: str, **options: Any) -> SegmentationData:
    root = Path(str(ROOT)) / name
    (data,) = split_folder(open_folder(root), **options)
    return data


@pytest.mark.skipif(ROOT is None, reason="SEGTUNE_DATA is not set: no real data sets here")
def test_real_retinas() -> None:
    data = real("chase_db1_vessels", grouping=lambda stems: groups_by_pattern(stems, r"^(chase_\d+)"))
    assert (data.mode, data.in_channels, data.spatial_dims) == ("binary", 3, 2)
    assert len({group for split in data.splits.values() for group in split.groups}) == 14
    assert 0.02 < summarize(data)["fractions"]["train"]["foreground"] < 0.2
    assert not any("in both" in line or "same image" in line for line in find_warnings(data))


@pytest.mark.skipif(ROOT is None, reason="SEGTUNE_DATA is not set: no real data sets here")
def test_real_nuclei() -> None:
    table = Path(str(ROOT)) / "dsb2018_nuclei" / "manifest.csv"
    data = real("dsb2018_nuclei", grouping=lambda stems: groups_by_table(stems, table, "group"))
    assert data.mode == "binary"
    assert not any("in both" in line for line in find_warnings(data))
    assert all(mask.max() <= 1 for split in data.splits.values() for mask in split.masks)
