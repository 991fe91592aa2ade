from dataclasses import replace

import numpy as np
import pytest
import torch

from components.data import SegmentationData, Split, evaluation_batches, find_warnings, training_batches
from components.errors import InvalidInputError


def split(cases: int = 5, name: str = "a", *, masks: np.ndarray | None = None) -> Split:
    images = np.arange(cases * 12, dtype=np.float32).reshape(cases, 1, 3, 4)
    masks = (images[:, 0] % 3).astype(np.uint8) if masks is None else masks
    names = tuple(f"{name}{index}" for index in range(cases))
    return Split(list(images), list(masks), names, names)


def batches(seed: int = 1, epoch: int = 1, augment: str = "flip") -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(training_batches(split(), size=2, seed=seed, epoch=epoch, augment=augment))


def test_order_and_flips_depend_on_seed_and_epoch_alone() -> None:
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches(), batches(), strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(batches(), batches(epoch=2), strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(batches(), batches(seed=2), strict=True))


def test_an_epoch_has_every_case_once_in_batches_of_the_size() -> None:
    found = batches(augment="none")
    assert [len(images) for images, _ in found] == [2, 2, 1]
    assert sorted(float(image.min()) for images, _ in found for image in images) == [0.0, 12.0, 24.0, 36.0, 48.0]


def test_image_and_mask_are_flipped_together() -> None:
    flipped = 0
    for images, masks in batches():
        assert torch.equal((images[:, 0] % 3).long(), masks)
        flipped += int(images[0, 0, 0, 0] != images[0].min())
    assert flipped


def test_read_only_arrays_are_never_written_to() -> None:
    shared = split()
    arrays: list[np.ndarray] = [*shared.images, *shared.masks]
    for array in arrays:
        array.flags.writeable = False
    before = np.stack(shared.images)
    for images, _ in training_batches(shared, size=2, seed=0, epoch=1):
        images.add_(1)  # as a network in place might
    assert np.array_equal(shared.images, before)
    assert len(list(evaluation_batches(shared, size=4))) == 2


def test_masks_with_a_channel_axis_become_floats_and_indices_stay_integers() -> None:
    channels = split(masks=np.ones((5, 2, 3, 4), np.uint8))
    assert next(training_batches(channels, size=2, seed=0, epoch=1))[1].dtype == torch.float32
    assert batches()[0][1].dtype == torch.int64


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="must be at least 1"):
        next(training_batches(split(), size=0, seed=0, epoch=1))
    with pytest.raises(InvalidInputError, match="use one of none, flip"):
        next(training_batches(split(), size=1, seed=0, epoch=1, augment="rotate"))


def data(**changes: Split) -> SegmentationData:
    parts = {"train": split(name="a"), "val": split(name="b"), "test": split(name="c")} | changes
    return SegmentationData(
        name="toy",
        mode="multiclass",
        classes=("background", "one", "two"),
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
    )


def test_the_fingerprint_changes_with_any_pixel_and_any_name() -> None:
    masks = (np.stack(split().images)[:, 0] % 3).astype(np.uint8)
    masks[0, 0, 0] ^= 1
    fingerprints = {
        data().fingerprint,
        data(train=split(masks=masks)).fingerprint,
        data(train=split(name="d")).fingerprint,
    }
    assert len(fingerprints) == 3
    assert data().fingerprint == data().fingerprint


def test_a_group_in_two_splits_is_a_warning() -> None:
    assert find_warnings(data(test=split(name="a")))[0] == (
        "groups a0, a1, a2 and 2 more in both train and test: test scores will be too good. Keep a group in one split."
    )


def test_a_class_that_validation_lacks_is_a_warning_and_is_not_scored() -> None:
    lacking = data(val=split(name="b", masks=np.ones((5, 3, 4), np.uint8)))
    assert lacking.scored == (True, False)
    assert any(line.startswith("class 'two' occurs in no validation mask: ") for line in find_warnings(lacking))


@pytest.mark.parametrize("name", ["train", "val"])
def test_no_foreground_at_all_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        data(**{name: split(name="z", masks=np.zeros((5, 3, 4), np.uint8))})
    assert str(caught.value) == (
        f"data 'toy': no foreground (one, two) anywhere in {name}. Hint: are the masks empty, or is the split lopsided?"
    )


@pytest.mark.parametrize("name", ["train", "val"])
def test_an_empty_split_is_refused_unless_it_is_test(name: str) -> None:
    nothing = Split([], [], (), ())
    assert len(data(test=nothing).test) == 0
    with pytest.raises(InvalidInputError, match=f"^data 'toy': the {name} split is empty[.]$"):
        data(**{name: nothing})


def test_images_of_other_channels_are_refused() -> None:
    other = Split([np.zeros((3, 3, 4), np.float32)], [np.ones((3, 4), np.uint8)], ("x",), ("x",))
    with pytest.raises(InvalidInputError) as caught:
        data(test=other)
    assert str(caught.value) == (
        "data 'toy': case x has shape (3, 3, 4), case a0 (1, 3, 4). "
        "Hint: all need the same number of channels and dimensions."
    )


def test_masks_that_do_not_fit_the_mode_or_the_classes_are_refused() -> None:
    channels = split(name="b", masks=np.ones((5, 1, 3, 4), np.uint8))
    with pytest.raises(InvalidInputError) as caught:
        data(val=channels)
    assert str(caught.value) == (
        "data 'toy': case b0 has a mask of shape (1, 3, 4); expected (3, 4) for 3 classes in mode 'multiclass'."
    )
    with pytest.raises(InvalidInputError, match=r"case a0 has a mask of shape \(3, 4\); expected \(2, 3, 4\) for 2"):
        SegmentationData(
            name="toy", mode="multilabel", classes=("one", "two"), train=split(), val=channels, test=split()
        )
    odd = split(name="c", masks=np.full((5, 3, 4), 3, np.uint8))
    with pytest.raises(InvalidInputError, match=r"^data 'toy': case c0 has the mask value 3; expected 0 to 2\.$"):
        data(test=odd)
    unlabelled = split(name="c", masks=np.full((5, 3, 4), 255, np.uint8))
    with pytest.raises(InvalidInputError, match=r"case c0 has the mask value 255; expected 0 to 2\."):
        data(test=unlabelled)
    assert replace(data(), test=unlabelled, ignore=True).ignore_index == 255
    with pytest.raises(InvalidInputError, match=r"mask value 3; expected 0 to 2, or 255 for no label\."):
        replace(data(), test=odd, ignore=True)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="found 5 images, 5 masks, 1 cases"):
        Split(split().images, split().masks, ("a",), ("a",))
    with pytest.raises(InvalidInputError, match=r"^a split of 5 cases: found 1 digests\.$"):
        Split(split().images, split().masks, split().cases, split().groups, ("x",))


def test_a_mask_of_another_size_than_its_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^case a: found an image \(1, 3, 4\) and a mask \(4, 3\)\.$"):
        Split([np.zeros((1, 3, 4), np.float32)], [np.zeros((4, 3), np.uint8)], ("a",), ("a",))


@pytest.mark.parametrize("batches", [1, 2, 7])
def test_an_epoch_of_so_many_batches_shows_each_case_as_often_as_the_others(batches: int) -> None:
    data = split()
    found = list(training_batches(data, size=2, seed=0, epoch=1, augment="none", batches=batches))
    assert [len(images) for images, _ in found] == [2] * batches
    shown = [int(image.sum()) for images, _ in found for image in images]
    seen = [shown.count(int(image.sum())) for image in data.images]
    assert max(seen) - min(seen) <= 1
    again = list(training_batches(data, size=2, seed=0, epoch=1, augment="none", batches=batches))
    assert all(torch.equal(a, b) for a, b in zip((x for x, _ in found), (x for x, _ in again), strict=True))


def test_an_epoch_without_batches_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="batches: found 0 an epoch"):
        next(training_batches(split(), size=2, seed=0, epoch=1, batches=0))
