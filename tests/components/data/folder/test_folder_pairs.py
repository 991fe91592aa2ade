"""Images and masks find each other by stem; everything that has no partner is named at once."""

from pathlib import Path

import pytest

from components.data.folder.pairs import find_pairs, pair_files
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
    others = [".DS_Store", "._a.png", ".a.png", "Thumbs.db", "notes.txt", "a.xml", "b.bmp", "png"]
    folder(tmp_path, ["a.png", *others], ["a.png", "b.svg"])
    (tmp_path / "images" / "c.png").mkdir()
    assert [pair.stem for pair in find_pairs(tmp_path)] == ["a"]


def test_a_missing_root_is_one_problem(tmp_path: Path) -> None:
    (line,) = refused(tmp_path / "nowhere")
    assert line.startswith(f"data.root: {tmp_path}/nowhere: no such folder. Hint: a relative path starts at the study")
    assert line.endswith("name the new place with -s data.root=FOLDER.")


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
    empty = "no image in it. Hint: .png, .jpg, .jpeg, .gif, .tif, .tiff, .npy, .nii.gz, .nii can be read."
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
            "Hint: case_7b.png is near; no ending is shared by all masks, which could be left out; image and mask "
            "need the same stem."
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
    folder(tmp_path, [f"{stem}.png" for stem in stems], [f"{stem}{index}x.png" for index, stem in enumerate(stems)])
    lines = refused(tmp_path)
    assert len(lines) == 21
    assert lines[0].endswith("could be left out; image and mask need the same stem.")
    assert lines[-1] == "… and 5980 more."


@pytest.mark.parametrize(
    ("images", "masks", "stems"),
    [
        (["a.png", "b.png"], ["a_mask.png", "b_mask.png"], ["a", "b"]),
        (["photo 00.JPG", "photo 01.JPG"], ["photo 00_mask.PNG", "photo 01_mask.PNG"], ["photo 00", "photo 01"]),
        (["a.png", "b.png"], ["a-seg.tif", "b-seg.tif"], ["a", "b"]),
        (["a.png", "b.png"], ["a_GT.png", "b_gt.png"], ["a", "b"]),
        (["a.png", "b.png"], ["mask_a.png", "mask_b.png"], ["a", "b"]),
        (["img_1.png", "img_2.png"], ["lbl_1.png", "lbl_2.png"], ["1", "2"]),
        (["a_image.png", "b_image.png"], ["a_label.png", "b_label.png"], ["a", "b"]),
        (["a.png", "b.png"], ["a_1stHO.png", "b_1stHO.png"], ["a", "b"]),  # no usual word, but it pairs them all
    ],
)
def test_an_ending_or_beginning_that_all_names_share_is_left_out_and_said(
    tmp_path: Path, images: list[str], masks: list[str], stems: list[str]
) -> None:
    pairing = pair_files(folder(tmp_path, images, masks))
    assert [pair.stem for pair in pairing.pairs] == stems
    assert [note.startswith("Names are compared without '") for note in pairing.notes] == [True]


def test_equal_stems_pair_although_they_share_an_ending(tmp_path: Path) -> None:
    pairing = pair_files(folder(tmp_path, ["a_mask.png", "b_mask.png"], ["a_mask.png", "b_mask.png"]))
    assert ([pair.stem for pair in pairing.pairs], pairing.notes) == (["a_mask", "b_mask"], ())


def test_names_in_either_form_of_unicode_are_pairs_and_both_forms_of_one_name_are_told(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    folder(tmp_path, [decomposed], [composed])
    assert [pair.stem for pair in find_pairs(tmp_path)] == ["caf\u00e9"]
    (tmp_path / "images" / composed).touch()
    assert "looks the same, but one name is composed Unicode (NFC)" in refused(tmp_path)[0]


def test_one_file_per_channel_makes_one_case(tmp_path: Path) -> None:
    folder(tmp_path, ["c1_0000.png", "c1_0001.png", "c2_0000.png", "c2_0001.png"], ["c1.png", "c2.png"])
    pairing = pair_files(tmp_path)
    assert [(pair.stem, [path.name for path in pair.images]) for pair in pairing.pairs] == [
        ("c1", ["c1_0000.png", "c1_0001.png"]),
        ("c2", ["c2_0000.png", "c2_0001.png"]),
    ]
    assert pairing.notes == ("Images have one file per channel (_0000, …): 2 per case.",)
    (tmp_path / "images" / "c2_0001.png").unlink()
    assert "1 channel file(s) (c2_0000.png), most cases have 2" in refused(tmp_path)[0]


def test_sub_folders_are_searched_and_those_of_a_system_are_not(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        for part in ("p1/a.png", "p2/a.png", "@eaDir/a.png", ".cache/a.png"):
            (tmp_path / name / part).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / part).touch()
    assert [pair.stem for pair in find_pairs(tmp_path)] == ["p1/a", "p2/a"]


def test_why_a_file_is_alone_is_told(tmp_path: Path) -> None:
    folder(tmp_path, ["A.png", "b.png", "c.png", "d.png"], ["a.png", "b.bmp", "sub-c.png", "d.png"])
    (tmp_path / "masks" / "deeper").mkdir()
    (tmp_path / "masks" / "deeper" / "c.png").touch()
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    text = "\n".join(refused(tmp_path))
    assert "a.png differs in upper and lower case only" in text
    assert "b.bmp is there, but .bmp cannot be read" in text
    assert "deeper/c.png has that name in another sub-folder" in text
    assert f"gone.png: a link to {tmp_path}/nowhere.png, which does not exist" in text
