"""The study file that `init` writes: it says what was seen, and runs as it is."""

import os
from pathlib import Path

import pytest
from PIL import Image

from components.errors import InvalidInputError
from tests.folders import png_folder, tiff_folder, volume_folder
from tuning.checks import check_study
from tuning.data import load_data
from tuning.errors import StudyConfigError
from tuning.init import init_study
from tuning.study_file import read_study_file

ROOT = os.environ.get("SEGTUNE_DATA")


def test_a_binary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = init_study(png_folder(tmp_path / "my discs", size=160))
    text = file.read_text()
    assert text.startswith(
        "# 10 pairs of image and mask: PNG uint8, 1 channel, 160×160.\n# Mask values: 0 background ("
    )
    config = read_study_file(file).load()
    assert (config.name, config.data.root, config.data.classes) == (
        "my_discs",
        str(tmp_path / "my discs"),
        ["foreground"],
    )
    assert (config.training.crop, config.training.epochs, config.data.ratio) == (128, 81, (0.7, 0.15, 0.15))
    (data,) = load_data(config.data)
    assert check_study(config, data).describe()


def test_colour_tiffs_with_an_ignored_value(tmp_path: Path) -> None:
    file = init_study(tiff_folder(tmp_path / "tiffs"), tmp_path / "studies" / "new.yaml")
    config = read_study_file(file).load()
    assert config.data.ignore == 255
    assert config.data.classes == ["background", "class_1", "class_2"]
    assert config.training.crop is None
    (data,) = load_data(config.data)
    assert (data.mode, data.in_channels, data.ignore_index) == ("multiclass", 3, 255)
    check_study(config, data)


def test_other_folder_names_sizes_split_and_groups_are_seen(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs")
    for name, other in (("images", "Img"), ("masks", "labels")):
        Image.open(root / name / "case_4.png").resize((64, 48), 0).save(root / name / "case_4.png")
        (root / name).rename(root / other)
    stems = [f"case_{index}" for index in range(10)]
    (root / "table.csv").write_text("stem,patient\n" + "".join(f"{stem},p{stem[-1]}\n" for stem in stems))
    config = read_study_file(init_study(root, tmp_path / "new.yaml")).load()
    assert (config.data.images, config.data.masks, config.training.crop) == ("Img", "labels", 32)
    assert config.data.group is not None
    assert (config.data.group.csv, config.data.group.column) == ("table.csv", "patient")
    (data,) = load_data(config.data)
    check_study(config, data)
    (root / "split.json").write_text('{"train": ["case_0", "case_1"], "val": ["case_2"]}')
    config = read_study_file(init_study(root, tmp_path / "split.yaml")).load()
    assert (config.data.split, config.data.ratio) == ("split.json", None)


def test_volumes_that_say_how_they_lie_are_mirrored_from_left_to_right_only(tmp_path: Path) -> None:
    file = init_study(volume_folder(tmp_path / "volumes"), tmp_path / "study.yaml", "30m")
    config = read_study_file(file).load()
    assert (config.training.recipe, config.training.mirror, config.scheduler.type) == ("standard", [0], "race")
    config = read_study_file(init_study(png_folder(tmp_path / "discs"), tmp_path / "other.yaml", "30m")).load()
    assert config.training.mirror is None


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs")
    (tmp_path / "mine.yaml").write_text("precious")
    with pytest.raises(StudyConfigError, match=r"mine\.yaml: exists already\. Hint: name another with --to"):
        init_study(root, tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_a_folder_without_images_and_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match=r"found photos and 1 image files, expected images/ and masks/"):
        init_study(tmp_path, tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.skipif(ROOT is None, reason="SEGTUNE_DATA is not set: no real data sets here")
@pytest.mark.parametrize("name", ["dsb2018_nuclei", "chase_db1_vessels", "msd_hippocampus"])
def test_real_folders(tmp_path: Path, name: str) -> None:
    config = read_study_file(init_study(Path(str(ROOT)) / name, tmp_path / "new.yaml")).load()
    (data,) = load_data(config.data)
    check_study(config, data)
    assert config.data.split == "split.json"


def test_a_budget_searches_the_standard_recipe(tmp_path: Path) -> None:
    file = init_study(png_folder(tmp_path / "discs"), tmp_path / "study.yaml", "30m")
    config = read_study_file(file).load()
    assert (config.search.budget, config.training.recipe, config.training.augment) == ("30m", "standard", "standard")
    assert config.model.arguments["num_res_units"] == 2
    assert check_study(config, load_data(config.data)[0]).parameters[0].name == "training.lr"
    with pytest.raises(StudyConfigError, match=r"^--budget: found 'soon', not a time to spend"):
        init_study(tmp_path / "discs", tmp_path / "other.yaml", "soon")
    assert not (tmp_path / "other.yaml").exists()


def test_a_small_image_among_large_ones_does_not_set_the_crop(tmp_path: Path) -> None:
    root = png_folder(tmp_path / "discs", size=256)
    for name in ("images", "masks"):
        Image.open(root / name / "case_4.png").resize((20, 20), 0).save(root / name / "case_4.png")
    config = read_study_file(init_study(root, tmp_path / "new.yaml")).load()
    assert config.training.crop == 128
    check_study(config, load_data(config.data)[0])


@pytest.mark.parametrize(("cases", "ratio"), [(2, (0.5, 0.5, 0.0)), (3, (0.7, 0.15, 0.15))])
def test_few_cases_leave_a_file_that_runs(tmp_path: Path, cases: int, ratio: tuple[float, ...]) -> None:
    config = read_study_file(init_study(png_folder(tmp_path / "discs", cases=cases), tmp_path / "new.yaml")).load()
    assert config.data.ratio == ratio
    check_study(config, load_data(config.data)[0])


def test_a_single_case_is_refused_before_a_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(StudyConfigError, match=r"found 1 pair of image and mask; training and validation need one"):
        init_study(png_folder(tmp_path / "discs", cases=1), tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()
