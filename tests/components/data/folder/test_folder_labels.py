"""What the values of masks mean, and when that is left open."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.data.folder import open_folder
from components.data.folder.labels import Classes, count_values, decide_classes
from components.errors import InvalidInputError

Names = Sequence[str] | Mapping[str, int] | None


def refused(found: set[int], classes: Names = None, ignore: int | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        decide_classes(found, classes, ignore)
    return str(caught.value)


@pytest.mark.parametrize("value", [1, 255, 7])
def test_0_and_one_other_value_are_binary(value: int) -> None:
    expected = Classes("binary", ("foreground",), (0, value), None)
    assert decide_classes({0, value}, None, None) == expected
    assert decide_classes({value}, None, None) == expected


def test_consecutive_values_are_class_indices() -> None:
    assert decide_classes({0, 1, 2, 3}, None, None) == Classes(
        "multiclass", ("background", "class_1", "class_2", "class_3"), (0, 1, 2, 3), None
    )


@pytest.mark.parametrize(
    ("found", "shown"),
    [({0, 128, 255}, "0, 128, 255"), ({1, 2}, "1, 2"), ({0, 1, 255}, "0, 1, 255"), ({-1, 0}, "-1, 0")],
)
def test_values_that_could_be_anything_must_be_named(found: set[int], shown: str) -> None:
    assert refused(found) == (
        f"data.masks: found the values {shown}; which is which? "
        "Hint: name the values, as data.classes: {background: 0, vein: 128, artery: 255}."
    )


def test_of_many_values_eight_are_shown() -> None:
    assert "found the values 2, 3, 4, 5, 6, 7, 8, 9, … (10 values); which is which?" in refused(set(range(2, 12)))


def test_too_many_values_are_no_classes() -> None:
    assert decide_classes(set(range(64)), None, None).names[-1] == "class_63"
    assert refused(set(range(65))) == (
        "data.masks: found 65 different values; these look like instances or a lossy file, not classes. "
        "Hint: save one value a class, as PNG or TIFF; or name them in data.classes."
    )


def test_masks_without_foreground_say_so() -> None:
    assert refused({0}) == (
        "data.masks: every mask is empty, the only value is 0. Hint: is the foreground saved as 1 or 255?"
    )
    assert "the only value is 0 beside the ignored 255. Hint:" in refused({0, 255}, ignore=255)


@pytest.mark.parametrize("names", [["nucleus"], ["background", "nucleus"]])
def test_one_or_two_names_are_binary_with_1_or_255(names: list[str]) -> None:
    for found, value in (({0, 1}, 1), ({0, 255}, 255), ({0, 1, 255}, 1), ({0, 3, 255}, 255), ({0}, 1)):
        assert decide_classes(found, names, None) == Classes("binary", ("nucleus",), (0, value), None)


def test_more_names_stand_in_the_order_of_the_values() -> None:
    names = ("background", "vein", "artery")
    assert decide_classes({0, 2}, names, None) == Classes("multiclass", names, (0, 1, 2), None)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""]])
def test_names_must_differ(names: list[str]) -> None:
    assert refused({0, 1}, names) == f"data.classes: found {names}; expected names that differ, at least one."


def test_a_mask_of_8_bits_holds_254_classes() -> None:
    assert len(decide_classes({0}, [f"c{index}" for index in range(254)], None).names) == 254
    many = [f"c{index}" for index in range(255)]
    assert refused({0}, many) == "data.classes: found 255 classes; at most 254 are possible."


def test_a_mapping_names_values_in_its_own_order_with_the_background_first() -> None:
    expected = Classes("multiclass", ("background", "artery", "vein"), (0, 255, 128), None)
    assert decide_classes({0}, {"artery": 255, "background": 0, "vein": 128}, None) == expected
    assert decide_classes({0}, {"artery": 255, "vein": 128}, None) == expected
    assert decide_classes({0}, {"other": 0, "cell": 9}, None) == Classes("binary", ("cell",), (0, 9), None)
    assert decide_classes({0}, {"cell": 9}, None) == Classes("binary", ("cell",), (0, 9), None)


def test_a_background_that_is_named_is_the_background_whatever_its_value() -> None:
    assert decide_classes({0, 2}, {"cell": 0, "background": 2}, None) == Classes("binary", ("cell",), (2, 0), None)
    assert decide_classes({0, 1, 2}, {"background": 1, "cell": 2}, 0) == Classes("binary", ("cell",), (1, 2), 0)


def test_a_mapping_must_not_contradict_itself() -> None:
    twice = {"a": 1, "b": 1}
    assert refused({0, 1}, twice) == f"data.classes: two names have the same value in {twice}."
    alone = {"background": 0}
    assert refused({0, 1}, alone) == f"data.classes: found {alone}; expected at least one besides the background."


def test_ignored_values_are_no_classes() -> None:
    assert decide_classes({0, 1, 255}, None, 255) == Classes("binary", ("foreground",), (0, 1), 255)
    assert decide_classes({0, 1, 2, 255}, None, 255).values == (0, 1, 2)
    assert decide_classes({0, 1, 255}, ["cell"], 255) == Classes("binary", ("cell",), (0, 1), 255)
    assert decide_classes({0, 1, 2, 9}, {"a": 1, "b": 2}, 9).ignore == 9


@pytest.mark.parametrize(
    ("classes", "ignore", "text"),
    [
        (["cell"], 1, "1 is also the class 'cell'."),
        (["cell"], 0, "0 is also the class 'background'."),
        (["other", "cell"], 1, "1 is also the class 'cell'."),
        (["background", "a", "b"], 2, "2 is also the class 'b'."),
        ({"a": 4, "b": 5}, 5, "5 is also a class in {'a': 4, 'b': 5}."),
        ({"a": 4}, 0, "0 is also a class in {'a': 4}."),
    ],
)
def test_a_value_cannot_be_ignored_and_a_class(classes: Names, ignore: int, text: str) -> None:
    assert refused({0, 1, 2}, classes, ignore) == f"data.ignore: {text} Hint: change one of them."


def test_0_cannot_be_ignored_unless_the_values_are_named() -> None:
    assert refused({0, 1}, None, 0) == ("data.ignore: 0 is also the background. Hint: name the values in data.classes.")


def test_encoding_gives_indices_with_255_for_no_label() -> None:
    labels = np.array([[0, 128, 255], [7, 128, 0]], np.uint8)
    several = decide_classes(set(), {"artery": 255, "vein": 128}, 7)
    assert several.encode(labels).tolist() == [[0, 2, 1], [255, 2, 0]]
    assert several.encode(labels).dtype == np.uint8
    binary = decide_classes(set(), {"vein": 128}, 255)
    assert binary.encode(labels).tolist() == [[[0, 1, 255], [0, 1, 0]]]
    assert binary.strangers({0: 2, 128: 2, 255: 1, 7: 1}) == {7: 1}


def test_an_ignored_value_beyond_the_masks_type_is_just_absent() -> None:
    classes = decide_classes({0, 1}, None, 65535)
    assert classes.encode(np.array([[0, 1]], np.uint8)).tolist() == [[[0, 1]]]
    assert classes.encode(np.array([[65535, 1]], np.uint16)).tolist() == [[[255, 1]]]


@given(
    st.lists(st.integers(0, 65535), min_size=2, max_size=20, unique=True),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.uint16, np.int32, np.float64]),
)
def test_every_named_value_becomes_its_index(values: list[int], seed: int, dtype: Any) -> None:
    classes = decide_classes(
        set(), {f"c{value}" if index else "background": value for index, value in enumerate(values)}, None
    )
    codes = np.random.default_rng(seed).integers(0, len(values), (5, 6))
    labels = np.array(values)[codes].astype(dtype)
    assert np.array_equal(classes.encode(labels).reshape(5, 6), codes)
    assert not classes.strangers(count_values(Path("a.png"), labels))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_values_are_counted_in_any_type(dtype: Any) -> None:
    assert count_values(Path("a.npy"), np.array([[0, 1, 1]], dtype)) == {0: 1, 1: 2}


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_value_that_is_no_whole_number_is_refused(value: float, text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        count_values(Path("masks/a.npy"), np.array([[0.0, value], [1.0, 2.0]]))
    hint = f"Hint: if its edges are soft, data.threshold: {1 if np.isfinite(value) else 0.5:g} cuts them."
    assert (
        str(caught.value) == f"masks/a.npy: found the value {text}; a mask holds whole numbers, one per class. {hint}"
    )


def test_masks_saved_as_jpeg_are_told_apart_by_their_values(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    rows, columns = np.mgrid[:32, :32]
    mask = (((rows - 16) ** 2 + (columns - 14) ** 2 < 90) * 255).astype(np.uint8)
    for case in "ab":
        Image.fromarray(mask).save(tmp_path / "images" / f"{case}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{case}.jpg", quality=60)
    with pytest.raises(InvalidInputError) as caught:
        open_folder(tmp_path, classes=["cell"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].startswith("… and ")
    assert lines[0].startswith(f"{tmp_path}/masks/a.jpg: the value ")
    assert all("soft edges; data.threshold: 127.5 cuts them." in line for line in lines[:-1])
    with pytest.raises(InvalidInputError, match=r"instances or a lossy file.* Or: the masks seem to be black and"):
        open_folder(tmp_path)
