"""Images and masks find each other by stem; everything that has no partner is named at once."""

from pathlib import Path

import pytest

from components.data.folder.pairs import find_pairs
from components.errors import InvalidInputError


def folder(root: Path, images: list[str], masks: list[str]) -> Path:
    for name, files in (("images", images), ("masks", masks)):
        (root / name).mkdir(parents=True)
        for file in files:
            (root / name / file).touch()
    return root


def refused(root: Path) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        find_pairs(root)
    return str(caught.value).splitlines()


def test_files_of_the_same_stem_are_pairs_in_the_order_of_the_stems(tmp_path: Path) -> None:
    folder(tmp_path, ["b.jpg", "a.TIF", "c.d.2.png"], ["a.png", "b.npy", "c.d.2.PNG"])
    assert [(pair.stem, pair.image.name, pair.mask.name) for pair in find_pairs(tmp_path)] == [
        ("a", "a.TIF", "a.png"),
        ("b", "b.jpg", "b.npy"),
        ("c.d.2", "c.d.2.png", "c.d.2.PNG"),
    ]


def test_other_folder_names_can_be_given(tmp_path: Path) -> None:
    folder(tmp_path, ["a.png"], ["a.png"])
    (tmp_path / "raw").mkdir()
    (tmp_path / "images").rename(tmp_path / "raw" / "img")
    (pair,) = find_pairs(tmp_path, "raw/img", "masks")
    assert pair.image == tmp_path / "raw" / "img" / "a.png"


def test_hidden_files_other_kinds_and_folders_are_passed_over(tmp_path: Path) -> None:
    others = [".DS_Store", "._a.png", ".a.png", "Thumbs.db", "notes.txt", "a.xml", "b.gif", "png"]
    folder(tmp_path, ["a.png", *others], ["a.png", "b.svg"])
    (tmp_path / "images" / "c.png").mkdir()
    assert [pair.stem for pair in find_pairs(tmp_path)] == ["a"]


def test_a_missing_root_is_one_problem(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere") == [
        f"data.root: {tmp_path}/nowhere: no such folder. Hint: a relative path starts at the study file."
    ]


def test_missing_folders_are_named_with_those_that_are_there(tmp_path: Path) -> None:
    assert refused(tmp_path) == [
        f"data.{name}: {tmp_path}/{name}: no such folder. Hint: {tmp_path} has no folder; name it in data.{name}."
        for name in ("images", "masks")
    ]
    for name in ("images", "gt", "extra"):
        (tmp_path / name).mkdir()
    assert refused(tmp_path) == [
        f"data.masks: {tmp_path}/masks: no such folder. Hint: {tmp_path} has extra, gt, images; name it in data.masks."
    ]


def test_empty_folders_are_named(tmp_path: Path) -> None:
    folder(tmp_path, ["a.png", "b.png"], ["a.txt"])
    empty = "no image in it. Hint: .png, .jpg, .jpeg, .tif, .tiff, .npy, .nii.gz, .nii can be read."
    assert refused(tmp_path) == [f"{tmp_path}/masks: {empty}"]
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    assert refused(tmp_path) == [f"{tmp_path}/{name}: {empty}" for name in ("images", "masks")]


def test_everything_without_a_partner_and_every_stem_that_stands_twice_come_together(tmp_path: Path) -> None:
    folder(tmp_path, ["a.png", "a.tif", "b.png", "case_7.png", "c.png"], ["a.png", "c.png", "case_7b.png", "x.png"])
    assert refused(tmp_path) == [
        f"{tmp_path}/images/a.tif: a.png has the same stem. Hint: keep one of the two.",
        f"{tmp_path}/images/b.png: no mask of this stem in {tmp_path}/masks.",
        (
            f"{tmp_path}/images/case_7.png: no mask of this stem in {tmp_path}/masks. "
            "Hint: case_7b.png is near; image and mask need the same stem."
        ),
        (
            f"{tmp_path}/masks/case_7b.png: no image of this stem in {tmp_path}/images. "
            "Hint: case_7.png is near; image and mask need the same stem."
        ),
        f"{tmp_path}/masks/x.png: no image of this stem in {tmp_path}/images.",
    ]


@pytest.mark.timeout(20)  # a hint for each of them would take minutes
def test_of_thousands_of_problems_twenty_are_shown_at_once(tmp_path: Path) -> None:
    stems = [f"case_{index:05d}" for index in range(3000)]
    folder(tmp_path, [f"{stem}.png" for stem in stems], [f"{stem}_mask.png" for stem in stems])
    lines = refused(tmp_path)
    assert len(lines) == 21
    assert lines[0].endswith("Hint: case_00000_mask.png is near; image and mask need the same stem.")
    assert lines[-1] == "… and 5980 more."
