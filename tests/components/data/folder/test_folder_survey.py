"""What is seen in a folder that nobody has described."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.folder.labels import Classes
from components.data.folder.survey import survey_folder
from components.errors import InvalidInputError
from tests.folders import png_folder, tiff_folder


def masks_of(root: Path, *values: int) -> Path:
    """A folder whose masks have these values, a row each."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    mask = np.repeat(np.array(values, np.uint8)[:, None], 6, axis=1)
    for case in "ab":
        for name in ("images", "masks"):
            Image.fromarray(mask).save(root / name / f"{case}.png")
    return root


def refused(root: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        survey_folder(root)
    return str(caught.value)


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "masks"), ("Imgs", "GT"), ("inputs", "annotations"), ("x", "y")]
)
def test_usual_folder_names_are_found(tmp_path: Path, images: str, masks: str) -> None:
    root = png_folder(tmp_path / "discs", cases=3)
    (root / "images").rename(root / images)
    (root / "masks").rename(root / masks)
    (root / "other").mkdir()
    survey = survey_folder(root)
    assert (survey.images, survey.masks) == (images, masks)
    assert [case.pair.stem for case in survey.cases] == ["case_0", "case_1", "case_2"]
    assert survey.classes == Classes("binary", ("foreground",), (0, 255), None)
    assert survey.sizes == [(32, 32)]
    assert (survey.has_split, survey.group) == (False, None)


def test_where_there_are_no_such_folders_it_is_told_what_is_there(tmp_path: Path) -> None:
    hint = "Hint: name the folders so, or write data.images and data.masks into a study file."
    expected = "expected images/ and masks/ with files of the same stem."
    assert refused(tmp_path / "nowhere") == f"{tmp_path}/nowhere: no such folder."
    assert refused(tmp_path) == f"{tmp_path}: found no folder, {expected} {hint}"
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.TIF", "notes.txt"):
        (tmp_path / name).touch()
    assert refused(tmp_path) == f"{tmp_path}: found images and 2 image files, {expected} {hint}"


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ((0, 1, 2, 255), Classes("multiclass", ("background", "class_1", "class_2"), (0, 1, 2), 255)),
        ((0, 1, 255), Classes("binary", ("foreground",), (0, 1), 255)),
        ((0, 1, 2), Classes("multiclass", ("background", "class_1", "class_2"), (0, 1, 2), None)),
        ((0, 255), Classes("binary", ("foreground",), (0, 255), None)),
        ((0, 7), Classes("binary", ("foreground",), (0, 7), None)),
    ],
)
def test_255_beside_class_indices_is_proposed_as_ignored(
    tmp_path: Path, values: tuple[int, ...], classes: Classes
) -> None:
    survey = survey_folder(masks_of(tmp_path, *values))
    assert survey.classes == classes
    assert survey.shares() == dict.fromkeys(values, pytest.approx(1 / len(values)))


@pytest.mark.parametrize(
    ("values", "classes", "ignore"),
    [((0, 128, 255), (0, 128, 255), None), ((0, 2, 255), (0, 2), 255), ((1, 2, 255), (0, 1, 2), 255)],
)
def test_values_with_gaps_are_classes_by_value(
    tmp_path: Path, values: tuple[int, ...], classes: tuple[int, ...], ignore: int | None
) -> None:
    found = survey_folder(masks_of(tmp_path, *values)).classes
    assert (found.values, found.ignore) == (classes, ignore)


def test_colour_tiffs_are_seen_as_they_are_stored(tmp_path: Path) -> None:
    survey = survey_folder(tiff_folder(tmp_path / "discs", cases=4))
    assert {case.stored[0] for case in survey.cases} == {"uint8"}
    assert {len(case.image) for case in survey.cases} == {3}
    assert survey.classes.ignore == 255
    assert list(survey.shares()) == [0, 1, 2, 255]


def test_a_split_file_and_a_table_of_groups_are_seen(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=3)
    (root / "split.json").touch()
    (root / "a.csv").write_text("stem,patient\ncase_0,p0\n")  # not all the cases
    (root / "b.csv").write_text("stem,age\n" + "".join(f"case_{index},9\n" for index in range(3)))
    (root / "c.csv").write_bytes(b"stem,patient\n\xff\xfe\n")
    assert survey_folder(root).group is None
    rows = "".join(f"case_{index},1,p{index}\n" for index in range(3))
    (root / "d.csv").write_text("stem,age,subject_id\n" + rows, encoding="utf-8-sig")
    survey = survey_folder(root)
    assert survey.has_split
    assert survey.group == ("d.csv", "subject_id", "stem")


def test_problems_of_the_files_are_told(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", cases=3)
    (root / "masks" / "case_1.png").write_bytes(b"")
    assert refused(root).startswith(f"{root}/masks/case_1.png: does not decode (")
