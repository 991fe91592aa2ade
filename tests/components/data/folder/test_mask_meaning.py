"""What masks mean: by colours, opacity and channels, over all files; refused where files contradict each other."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from components.data import find_warnings
from components.data.folder import open_folder, split_folder
from components.data.folder.survey import survey_folder
from components.errors import InvalidInputError
from tuning.data import load_data
from tuning.init import init_study
from tuning.study_file import read_study_file

Array = np.ndarray[Any, Any]
Save = Callable[[Path, Array, int], object]
SIZE = 32


def shape(index: int, *, classes: int = 1) -> Array:
    """A disc a class, `(32, 32)`, the first ones overlaid by the later ones."""
    random = np.random.default_rng(index)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for label in range(1, classes + 1):
        y, x = random.integers(8, 24, 2)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < 36] = label
    return mask


def folder(root: Path, save: Save, suffix: str = ".png", cases: int = 6, classes: int = 1) -> Path:
    """Grey images, and their masks as `save` writes them."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(cases):
        mask = shape(index, classes=classes)
        noise = np.random.default_rng(index).normal(60, 9, mask.shape)
        Image.fromarray((noise + 40 * mask).astype(np.uint8)).save(root / "images" / f"s{index:02}.png")
        save(root / "masks" / f"s{index:02}{suffix}", mask, index)
    return root


def palette(colours: Sequence[int], order: Callable[[int], bool] = lambda _: False) -> Save:
    """With these two colours in this order, or turned round where `order` says so of a case."""

    def save(path: Path, mask: Array, index: int) -> None:
        turned = order(index)
        picture = Image.frombytes("P", mask.shape[::-1], (1 - mask if turned else mask).tobytes())
        picture.putpalette([*colours[3:], *colours[:3]] if turned else list(colours))
        picture.save(path)

    return save


def rgba(ground: Sequence[int], figure: Sequence[int]) -> Save:
    def save(path: Path, mask: Array, _: int) -> None:
        Image.fromarray(np.array([ground, figure], np.uint8)[mask]).save(path)

    return save


def soft(mask: Array) -> Array:
    """Resized to half with anti-aliasing, shifted by half a pixel."""
    big = np.kron(mask, np.ones((2, 2))) * 255
    steps = ((0, 0), (0, 1), (1, 0), (1, 1))
    return np.asarray(np.mean([np.roll(big, step, (0, 1)) for step in steps], 0)[::2, ::2])


def write(path: Path, mask: Array, _: int = 0) -> None:
    tifffile.imwrite(path, mask) if path.suffix == ".tif" else np.save(path, mask)


WHITE_FIRST = lambda index: index % 3 == 1  # noqa: E731 - of some cases only
READ_AS_DRAWN: dict[str, tuple[str, Save]] = {
    "0 and 1 in some files, 0 and 255 in others": (
        ".png",
        lambda path, mask, index: Image.fromarray(mask * (255 if index % 2 else 1)).save(path),
    ),
    "0 and 65535 in some files, 0 and 255 in others": (
        ".tif",
        lambda path, mask, index: write(path, mask.astype(np.uint16) * (65535 if index % 2 else 255)),
    ),
    "1 bit in some files, 8 bits in others": (
        ".png",
        lambda path, mask, index: Image.fromarray(mask.astype(bool) if index % 2 else mask * 255).save(path),
    ),
    "palettes of black and white in two orders": (".png", palette([0, 0, 0, 255, 255, 255], WHITE_FIRST)),
    "palettes of black and white, all white first": (
        ".png",
        palette([0, 0, 0, 255, 255, 255], lambda _: True),
    ),
    "palettes as quantize(2) writes them": (
        ".png",
        lambda path, mask, _: Image.fromarray(mask * 255).quantize(2).save(path),
    ),
    "GIF, whose palette is its own": (".gif", lambda path, mask, _: Image.fromarray(mask * 255).save(path)),
    "palettes of black and red in two orders": (".png", palette([0, 0, 0, 255, 0, 0], WHITE_FIRST)),
    "palettes of black and white beside grey files": (
        ".png",
        lambda path, mask, index: (
            Image.fromarray(mask * 255).save(path)
            if index % 2
            else palette([0, 0, 0, 255, 255, 255], WHITE_FIRST)(path, mask, index)
        ),
    ),
    "a TIFF with a palette of greys, white first": (
        ".tif",
        lambda path, mask, _: tifffile.imwrite(
            path,
            1 - mask,
            photometric="palette",
            colormap=np.stack([np.array([65535] + [0] * 255, np.uint16)] * 3),
        ),
    ),
    "WhiteIsZero": (
        ".tif",
        lambda path, mask, _: tifffile.imwrite(path, (1 - mask) * np.uint8(255), photometric="miniswhite"),
    ),
    "palettes of red and black, all red first": (".png", palette([0, 0, 0, 255, 0, 0], lambda _: True)),
    "red on black, without a palette": (".png", rgba((0, 0, 0), (255, 0, 0))),
    "all white, the shape in the opacity": (".png", rgba((255, 255, 255, 0), (255, 255, 255, 255))),
    "all black, the shape in the opacity": (".png", rgba((0, 0, 0, 0), (0, 0, 0, 255))),
    "red on nothing": (".png", rgba((0, 0, 0, 0), (255, 0, 0, 255))),
    "white on nothing, saved as TIFF": (
        ".tif",
        lambda path, mask, _: tifffile.imwrite(
            path,
            np.array([[255, 255, 255, 0], [255, 255, 255, 255]], np.uint8)[mask],
            photometric="rgb",
            extrasamples=["unassalpha"],
        ),
    ),
    "one channel per class, the first the background": (
        ".npy",
        lambda path, mask, _: write(path, np.stack([1 - mask, mask])),
    ),
    "one channel per class behind the axes": (
        ".npy",
        lambda path, mask, _: write(path, np.stack([mask == 0, mask == 1], -1)),
    ),
    "fractions that are whole": (".npy", lambda path, mask, _: write(path, mask.astype(np.float32))),
}


@pytest.mark.parametrize("kind", READ_AS_DRAWN)
def test_masks_are_read_as_they_were_drawn_by_default_and_as_init_proposes(tmp_path: Path, kind: str) -> None:
    suffix, save = READ_AS_DRAWN[kind]
    root = folder(tmp_path / "data", save, suffix)
    opened = open_folder(root)
    (data,) = load_data(read_study_file(init_study(root, tmp_path / "study.yaml")).load().data)
    proposed = {case: mask for part in data.splits.values() for case, mask in zip(part.cases, part.masks, strict=True)}
    for index in range(6):
        for found in (opened.masks[f"s{index:02}"], proposed[f"s{index:02}"]):
            assert np.array_equal(found, shape(index)[None]), kind


def test_what_was_decided_is_said_in_the_file_of_init_and_in_the_facts(tmp_path: Path) -> None:
    root = folder(tmp_path / "mixed", READ_AS_DRAWN["0 and 1 in some files, 0 and 255 in others"][1])
    note = "no mask holds two of the values 1, 255 (1 in 3, 255 in 3): all of them are read as foreground"
    assert f"\n# Note: {note}.\n" in init_study(root, tmp_path / "mixed.yaml").read_text()
    (data,) = split_folder(open_folder(root))
    assert data.facts["mask_meaning"] == ["0 background, 255 foreground, 1 foreground", note]
    root = folder(tmp_path / "palettes", palette([0, 0, 0, 255, 255, 255], WHITE_FIRST))
    assert open_folder(root).notes == (
        "6 of 6 masks have a palette of greys: the grey is the value (black 0, white 255), not its index",
    )


def one_file(save: Save, other: Save, at: int = 3) -> Save:
    return lambda path, mask, index: (other if index == at else save)(path, mask, index)


def jpeg(path: Path, mask: Array, _: int) -> None:
    path.write_bytes(jpeg_of(mask).getvalue())


def jpeg_of(mask: Array) -> BytesIO:
    file = BytesIO()
    Image.fromarray(mask * 255).save(file, "JPEG", quality=90)
    return file


CONTRADICTIONS: dict[str, tuple[str, Save, str]] = {
    "opacity in one file": (
        ".png",
        one_file(lambda path, mask, _: Image.fromarray(mask * 255).save(path), rgba((9, 9, 9, 0), (9, 9, 9, 255))),
        r"the shape of .*s03.png is in its opacity .* that of .*s00.png in its colours",
    ),
    "opacity against colour": (
        ".png",
        rgba((255, 255, 255, 0), (0, 0, 0, 255)),
        r"s00.png: the visible shape is black, on a hidden ground that is bright",
    ),
    "palettes of several colours in two orders": (
        ".png",
        palette([10, 200, 0, 255, 0, 0], WHITE_FIRST),
        r"palettes differ: index 0 is #0ac800 in .*s00.png and #ff0000 in .*s01.png",
    ),
    "two colours without a palette": (
        ".png",
        one_file(rgba((0, 0, 0), (255, 0, 0)), rgba((0, 0, 0), (0, 255, 0))),
        r"s0\d.png is drawn in #ff0000, .*s03.png in #00ff00",
    ),
    "WhiteIsZero in one file": (
        ".tif",
        one_file(
            write, lambda path, mask, _: tifffile.imwrite(path, (1 - mask) * np.uint8(255), photometric="miniswhite")
        ),
        r"s03.tif shows its 0 as white \(WhiteIsZero\), .*s00.tif as black",
    ),
    "one channel per class in one file": (
        ".npy",
        one_file(write, lambda path, mask, index: write(path, np.stack([1 - mask, mask]), index)),
        r"s0\d.npy has one value per class, .*s03.npy has one channel per class, with background",
    ),
    "classes that overlap": (
        ".npy",
        lambda path, mask, _: write(path, np.stack([mask, mask | shape(99)])),
        r"found 2 channels, and \d+ pixels that are marked in more than one",
    ),
    "1 and 255 in one file": (
        ".png",
        one_file(
            lambda path, mask, index: Image.fromarray(mask * (255 if index % 2 else 1)).save(path),
            lambda path, mask, _: Image.fromarray(np.where(shape(99), 255, mask).astype(np.uint8)).save(path),
        ),
        r"s0\d.png holds 255 and no other class, .*s00.png holds 1",
    ),
    "greys in some files, indices in others": (
        ".png",
        lambda path, mask, index: Image.fromarray(mask * (100 if index % 2 else 1)).save(path),
        r"s0\d.png holds 1.*, .*s0\d.png holds 100.*Do these values mean the same\?",
    ),
    "another foreground in one file": (
        ".png",
        one_file(
            lambda path, mask, _: Image.fromarray(mask * 9).save(path),
            lambda path, mask, _: Image.fromarray(mask * 7).save(path),
        ),
        r"s03.png holds 7, .*s00.png holds 9. Do these values mean the same\?",
    ),
    "a palette beside greys that are none of its indices": (
        ".png",
        one_file(palette([0, 0, 0, 255, 0, 0]), lambda path, mask, _: Image.fromarray(mask * 200).save(path)),
        r"s00.png has a palette, whose indices are the classes; .*s03.png has none, and the value 200",
    ),
}


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_files_that_contradict_each_other_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    suffix, save, message = CONTRADICTIONS[kind]
    root = folder(tmp_path / "data", save, suffix, classes=2 if "indices" in kind and "greys in" in kind else 1)
    with pytest.raises(InvalidInputError, match=message):
        init_study(root, tmp_path / "study.yaml")
    assert not (tmp_path / "study.yaml").exists()


SOFT: dict[str, tuple[str, Save, float]] = {
    "anti-aliased": (
        ".png",
        lambda path, mask, _: Image.fromarray(soft(mask).round().astype(np.uint8)).save(path),
        127.5,
    ),
    "JPEG": (".jpg", jpeg, 127.5),
    "JPEG in colour": (".jpg", lambda path, mask, _: Image.fromarray(mask * 255).convert("RGB").save(path), 127.5),
    "fractions": (".npy", lambda path, mask, _: write(path, (soft(mask) / 255).astype(np.float32)), 0.5),
    "soft opacity": (
        ".png",
        lambda path, mask, _: Image.fromarray(
            np.concatenate([np.full((SIZE, SIZE, 3), 255), soft(mask)[..., None]], -1).astype(np.uint8)
        ).save(path),
        127.5,
    ),
    "JPEG, saved as PNG": (
        ".png",
        lambda path, mask, _: Image.open(jpeg_of(mask)).save(path),
        127.5,
    ),
}


@pytest.mark.parametrize("kind", SOFT)
def test_soft_edges_are_recognised_and_cut_by_a_setting(tmp_path: Path, kind: str) -> None:
    suffix, save, threshold = SOFT[kind]
    root = folder(tmp_path / "data", save, suffix)
    with pytest.raises(InvalidInputError, match=rf"data\.threshold: {threshold:g} cuts them"):
        open_folder(root)
    config = read_study_file(init_study(root, tmp_path / "study.yaml")).load()
    assert (config.data.threshold, config.data.classes) == (threshold, ["foreground"])
    (data,) = load_data(config.data)
    for part in data.splits.values():
        for case, mask in zip(part.cases, part.masks, strict=True):
            drawn = shape(int(case[1:]))
            assert (mask[0] != drawn).mean() < 0.08, kind
            assert mask.max() == 1
    assert f"masks are cut at {threshold:g} (data.threshold): above it is 1" in data.facts["mask_meaning"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((0, 1, 2, 255), "class indices beside pixels without a label"),
        ((0, 85, 170, 255), "classes as even greys"),
        ((0, 60, 120, 180, 240), "five greys"),
    ],
)
def test_areas_of_one_value_are_classes_and_not_soft_edges(tmp_path: Path, values: tuple[int, ...], why: str) -> None:
    table = np.array(values, np.uint8)
    root = folder(
        tmp_path, lambda path, mask, _: Image.fromarray(table[mask]).save(path), classes=len(values) - 1, cases=9
    )
    survey = survey_folder(root)
    assert survey.threshold is None, why
    assert {*survey.classes.values, survey.classes.ignore} - {None} == set(values)


def test_one_channel_per_class_without_a_background(tmp_path: Path) -> None:
    def save(path: Path, mask: Array, _: int) -> None:
        write(path, np.stack([mask == 1, mask == 2]).astype(np.uint8) * 255)

    opened = open_folder(folder(tmp_path, save, ".npy", classes=2))
    assert all(np.array_equal(opened.masks[f"s{index:02}"], shape(index, classes=2)) for index in range(6))
    assert opened.notes == (
        "masks have one channel per class: the first is class 1, a pixel without a mark is background",
    )


def test_numbers_of_objects_are_proposed_as_foreground(tmp_path: Path) -> None:
    def save(path: Path, _: Array, index: int) -> None:
        objects = np.zeros((SIZE, SIZE), np.uint16)
        for number in range(8 + 3 * index):
            objects[number // 8 * 4 : number // 8 * 4 + 3, number % 8 * 4 : number % 8 * 4 + 3] = number + 1
        Image.fromarray(objects).save(path)

    text = init_study(folder(tmp_path / "data", save), tmp_path / "study.yaml").read_text()
    assert "  threshold: 0.5 " in text
    assert "as objects are numbered: above 0.5 is foreground" in text
    (data,) = load_data(read_study_file(tmp_path / "study.yaml").load().data)
    assert data.mode == "binary"


def test_values_with_gaps_are_named_by_value(tmp_path: Path) -> None:
    table = np.array([0, 1, 2, 4], np.uint8)
    root = folder(tmp_path / "data", lambda path, mask, _: Image.fromarray(table[mask]).save(path), classes=3)
    config = read_study_file(init_study(root, tmp_path / "study.yaml")).load()
    assert config.data.classes == {"background": 0, "class_1": 1, "class_2": 2, "class_4": 4}
    (data,) = load_data(config.data)
    assert sorted(np.unique(np.concatenate(data.train.masks))) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 300.0}, r"data\.threshold: found 300, but no mask has a value above 255"),
        ({"threshold": 99.0, "ignore": 255}, r"data\.threshold: makes masks of 0 and 1"),
        ({"threshold": 99.0, "classes": {"cell": 255}}, r"data\.threshold: makes masks of 0 and 1"),
    ],
)
def test_a_threshold_that_cannot_be(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    root = folder(tmp_path, lambda path, mask, _: Image.fromarray(mask * 255).save(path))
    with pytest.raises(InvalidInputError, match=message):
        open_folder(root, **settings)


def test_an_ignored_value_that_stands_alone_is_asked_about(tmp_path: Path) -> None:
    root = folder(tmp_path, READ_AS_DRAWN["0 and 1 in some files, 0 and 255 in others"][1])
    (note,) = open_folder(root, ignore=255).notes
    assert note == (
        "255 is ignored (data.ignore), yet 3 masks hold it and no class, such as s01.png: is it their foreground?"
    )


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ((255, 255), "train masks are all foreground (cases"),
        ((255, 0), "% of the pixels are foreground; are foreground and background swapped?"),
        ((0, 255), None),
    ],
)
def test_full_masks_and_more_foreground_than_background_are_warned_of(
    tmp_path: Path, values: tuple[int, int], warning: str | None
) -> None:
    table = np.array(values, np.uint8)
    root = folder(tmp_path, lambda path, mask, _: Image.fromarray(table[mask]).save(path))
    (data,) = split_folder(open_folder(root, classes={"cell": 255}))
    said = [line for line in find_warnings(data) if "foreground" in line]
    assert any(warning in line for line in said) if warning else not said
