"""A data set in numbers, and what about it is worth a warning."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from components.data import SegmentationData, Split, find_warnings, summarize

SIZE = (40, 50)  # 2000 pixels: one pixel is half the share that counts as near-empty


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image, and a mask with both classes: a tenth and a fifth of the pixels."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:4] = 1
    mask[8:16] = 2
    return np.random.default_rng(seed).standard_normal((1, *SIZE)).astype(np.float32), mask


def split(name: str, cases: int = 5, *, seed: int = 0) -> Split:
    images, masks = zip(*(case(seed + index) for index in range(cases)), strict=True)
    names = tuple(f"{name}{index}" for index in range(cases))
    return Split(images, masks, names, names)


def make(**changes: Any) -> SegmentationData:
    parts: dict[str, Any] = {
        "name": "toy",
        "mode": "multiclass",
        "classes": ("background", "one", "two"),
        "train": split("a"),
        "val": split("b", seed=10),
        "test": split("c", seed=20),
    }
    return SegmentationData(**(parts | changes))


def with_masks(original: Split, masks: Sequence[np.ndarray]) -> Split:
    return Split(original.images, masks, original.cases, original.groups)


def test_a_clean_data_set_has_no_warnings() -> None:
    assert find_warnings(make()) == []
    assert find_warnings(make(test=Split([], [], (), ()))) == []


def test_a_class_that_validation_lacks_is_not_scored() -> None:
    val = split("b", seed=10)
    data = make(val=with_masks(val, [np.where(mask == 2, 0, mask) for mask in val.masks]))
    assert data.scored == (True, False)
    assert find_warnings(data) == [
        "class 'two' occurs in no validation mask: it has no Dice and does not count in the objective."
    ]


def test_a_class_that_training_lacks_cannot_be_learned() -> None:
    train = split("a")
    data = make(train=with_masks(train, [np.where(mask == 1, 0, mask) for mask in train.masks]))
    assert data.scored == (True, True)
    assert find_warnings(data) == ["class 'one' occurs in no training mask: the network cannot learn it."]


def test_images_that_occur_twice() -> None:
    train, val = split("a"), split("b", seed=10)
    images = [train.images[0], train.images[1], train.images[0], train.images[0], train.images[4]]
    again = [train.images[4], *val.images[1:]]
    data = make(
        train=Split(images, train.masks, train.cases, train.groups),
        val=Split(again, val.masks, val.cases, val.groups),
    )
    assert find_warnings(data) == [
        "the same image more than once in train: pairs a0 = a2, a0 = a3.",
        "the same image in train and val: pair a4 = b0; val scores will be too good.",
    ]


def test_the_same_cases_in_two_splits() -> None:
    shared = Split(split("a").images, split("a").masks, split("a").cases, ("g1", "g2", "g3", "g4", "g5"))
    assert find_warnings(make(test=shared)) == [
        "the same image in train and test: pairs a0 = a0, a1 = a1, a2 = a2 and 2 more; test scores will be too good."
    ]


def test_digests_of_files_tell_duplicates() -> None:
    train = split("a")
    stored = Split(train.images, train.masks, train.cases, train.groups, ("x", "y", "z", "x", "w"))
    assert find_warnings(make(train=stored)) == ["the same image more than once in train: pair a0 = a3."]


def test_a_group_in_two_splits() -> None:
    train, val, test = split("a"), split("b", seed=10), split("c", seed=20)
    data = make(
        train=Split(train.images, train.masks, train.cases, ("p", "q", "r", "s", "t")),
        val=Split(val.images, val.masks, val.cases, ("t", "s", "r", "q", "u")),
        test=Split(test.images, test.masks, test.cases, ("u", "v", "v", "v", "v")),
    )
    assert find_warnings(data) == [
        "groups q, r, s and 1 more in both train and val: val scores will be too good. Keep a group in one split.",
        "group u in both val and test: test scores will be too good. Keep a group in one split.",
    ]


def test_empty_and_near_empty_masks() -> None:
    val = split("b", seed=10)
    empty, dot = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    dot[0, 0] = 1
    data = make(val=with_masks(val, [empty, *val.masks[1:3], dot, empty]))
    assert find_warnings(data) == [
        "2 of 5 val masks are empty (cases b0, b4).",
        "1 of 5 val masks have under 0.1% foreground (case b3); their Dice hangs on a few pixels.",
    ]


def test_a_small_object_in_a_large_volume_is_no_slip_of_the_mouse() -> None:
    masks = [np.zeros((40, 200, 200), np.uint8) for _ in range(4)]
    for mask, few in zip(masks, (1000, 999, 1000, 1000), strict=True):
        mask.reshape(-1)[:few] = 1
    images = [np.random.default_rng(index).random((1, 40, 200, 200), np.float32) for index in range(4)]
    names = ("u", "v", "w", "x")
    train = Split(images[:2], masks[:2], names[:2], names[:2])
    data = make(
        classes=("background", "one"),
        train=train,
        val=Split(images[2:3], masks[2:3], names[2:3], names[2:3]),
        test=Split(images[3:], masks[3:], names[3:], names[3:]),
    )
    assert find_warnings(data) == [
        "1 of 2 train masks have under 0.1% foreground (case v); their Dice hangs on a few pixels."
    ]


def test_images_on_different_scales() -> None:
    test = split("c", seed=20)
    scaled = [9 * test.images[0], 200 * test.images[1], np.zeros_like(test.images[2]), *test.images[3:]]
    data = make(test=Split(scaled, test.masks, test.cases, test.groups))
    flat, scale = find_warnings(data)
    assert flat.startswith("1 of 5 test images are of one single value")
    assert scale.startswith("intensities differ: their deviation is 0.9")
    assert scale.endswith(" in case c1. Bring images to one scale, as data.normalize: zscore does.")


def test_ignored_pixels_are_no_foreground() -> None:
    val = split("b", seed=10)
    ignored = np.where(val.masks[0] > 0, 255, 0).astype(np.uint8)
    data = make(val=with_masks(val, [ignored, *val.masks[1:]]), ignore=True)
    assert find_warnings(data) == ["1 of 5 val masks are empty (case b0)."]


def test_images_of_one_value() -> None:
    test = split("c", seed=20)
    flat = Split([np.ones((1, *SIZE), np.float32), *test.images[1:]], test.masks, test.cases, test.groups)
    assert find_warnings(make(test=flat)) == ["1 of 5 test images are of one single value (case c0)."]


def test_a_summary_counts_cases_groups_sizes_and_classes() -> None:
    train = split("a", 3)
    sizes = [(40, 50), (10, 60), (20, 20)]
    images = [np.full((1, *size), index, np.float32) for index, size in enumerate(sizes)]
    masks = [np.ones(size, np.uint8) for size in sizes]
    data = make(
        train=Split(images, masks, train.cases, ("p", "p", "q")),
        test=Split([], [], (), ()),
        facts={"mask_values": [0, 1, 2]},
    )
    summary = summarize(data)
    fingerprint = summary.pop("fingerprint")
    assert len(fingerprint) == 64
    intensity = summary.pop("intensity")
    pixels, mean = 2000 + 600 + 400, (600 + 2 * 400) / 3000
    deviation = ((2000 * mean**2 + 600 * (1 - mean) ** 2 + 400 * (2 - mean) ** 2) / pixels) ** 0.5
    assert intensity["train"] == {
        "min": 0.0,
        "max": 2.0,
        "mean": round(mean, 4),
        "deviation": round(deviation, 4),
        "percentile_1": 0.0,
        "percentile_99": 2.0,
    }
    assert summary == {
        "name": "toy",
        "mode": "multiclass",
        "classes": ["background", "one", "two"],
        "cases": {"train": 3, "val": 5, "test": 0},
        "groups": {"train": 2, "val": 5, "test": 0},
        "channels": 1,
        "sizes": {
            "train": {"smallest": [10, 20], "median": [20, 50], "largest": [40, 60]},
            "val": {"smallest": [40, 50], "median": [40, 50], "largest": [40, 50]},
        },
        "fractions": {"train": {"one": 1.0, "two": 0.0}, "val": {"one": 0.1, "two": 0.2}},
        "ignored": None,
        "mask_values": [0, 1, 2],
    }


def test_fractions_are_of_labelled_pixels_and_the_ignored_share_is_of_all() -> None:
    train = split("a", 2)
    half = train.masks[0].copy()
    half[20:] = 255
    data = make(train=with_masks(train, [half, train.masks[1]]), ignore=True)
    summary = summarize(data)
    assert summary["fractions"]["train"] == {"one": round(400 / 3000, 6), "two": round(800 / 3000, 6)}
    assert summary["ignored"] == {"train": 0.25, "val": 0.0, "test": 0.0}


def test_each_channel_of_a_multilabel_mask_has_its_own_labelled_pixels() -> None:
    mask = np.zeros((2, *SIZE), np.uint8)
    mask[0, :10] = 1
    mask[1, :10] = 1
    mask[1, 20:] = 255
    parts = {name: with_masks(split(name, 1, seed=ord(name)), [mask]) for name in "abc"}
    data = make(mode="multilabel", classes=("u", "v"), train=parts["a"], val=parts["b"], test=parts["c"], ignore=True)
    assert summarize(data)["fractions"]["train"] == {"u": 0.25, "v": 0.5}
    assert summarize(data)["ignored"]["train"] == 0.25
    assert find_warnings(data) == []


def test_the_ignored_share_weighs_large_images_more() -> None:
    images = [np.random.default_rng(0).random((1, 10, 10)).astype(np.float32), case(0)[0]]
    masks = [np.full((10, 10), 255, np.uint8), case(0)[1]]
    data = make(train=Split(images, masks, ("a", "b"), ("a", "b")), ignore=True)
    assert summarize(data)["ignored"]["train"] == pytest.approx(100 / 2100, abs=1e-6)
