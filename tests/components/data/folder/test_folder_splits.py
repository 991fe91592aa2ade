"""Cases are dealt by a file, by ratio or to folds; groups come from a pattern or a table."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.folder import groups_by_pattern, groups_by_table
from components.data.folder.splits import read_split, split_by_ratio, split_in_folds
from components.errors import InvalidInputError

STEMS = ["case_1", "case_2", "case_3", "case_4"]


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "split.json"
    path.write_text(text, encoding=encoding)
    return path


def refused(path: Path, stems: list[str] = STEMS) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        read_split(path, stems)
    return str(caught.value).replace(str(path), "split.json").splitlines()


def test_a_split_file_keeps_its_order_and_may_leave_cases_out(tmp_path: Path) -> None:
    path = written(tmp_path, '{"val": ["case_3"], "train": ["case_2", "case_1"]}')
    assert read_split(path, STEMS) == {"train": ["case_2", "case_1"], "val": ["case_3"], "test": []}
    path = written(tmp_path, '{"train": ["case_1"], "val": ["case_3"], "test": ["case_4"]}', "utf-8-sig")
    assert read_split(path, STEMS)["test"] == ["case_4"]


def test_unknown_stems_overlaps_repetitions_and_empty_parts_come_with_their_lines(tmp_path: Path) -> None:
    text = '{\n"train": ["case_1",\n"case_2", "case_2"],\n"val": [\n"case_1", "cese_3",\n"zzz"],\n"test": []}'
    assert refused(written(tmp_path, text)) == [
        "split.json:3: 'case_2' stands twice. Hint: keep it in one split.",
        "split.json:5: 'case_1' stands in train and in val. Hint: keep it in one split.",
        "split.json:5: val names 'cese_3', which has no image and mask. Hint: did you mean case_3?",
        "split.json:6: val names 'zzz', which has no image and mask. Hint: write stems, without suffix.",
    ]


@pytest.mark.parametrize("escaped", [True, False])
def test_a_stem_beyond_ascii_has_its_line_too(tmp_path: Path, *, escaped: bool) -> None:
    text = json.dumps({"train": ["case_1"], "val": ["Müller"]}, indent=1, ensure_ascii=escaped)
    assert refused(written(tmp_path, text)) == [
        "split.json:6: val names 'Müller', which has no image and mask. Hint: write stems, without suffix."
    ]


def test_an_empty_train_or_val_is_refused_and_an_empty_test_is_not(tmp_path: Path) -> None:
    assert refused(written(tmp_path, '{"train": [], "val": []}')) == [
        "split.json: train is empty.",
        "split.json: val is empty.",
    ]
    assert read_split(written(tmp_path, '{"train": ["case_1"], "val": ["case_2"], "test": []}'), STEMS)["test"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"train": ["case_1"],\n "val": [case_2]}', "split.json:2:10: no JSON (Expecting value)."),
        ("", "split.json:1:1: no JSON (Expecting value)."),
        ('["case_1"]', "split.json: found list; expected lists of stems in train, val and, optionally, test."),
        ('{"train": ["case_1"]}', "split.json: found ['train']; expected lists of stems in train, val and, "),
        ('{"train": [], "val": [], "valid": []}', "split.json: found ['train', 'val', 'valid']; expected lists of "),
        ('{"train": "case_1", "val": ["case_2"]}', "split.json: train must be a list of stems."),
        ('{"train": ["case_1"], "val": [2]}', "split.json: val must be a list of stems."),
        ("[" * 100_000, "data.split: split.json: cannot be read ("),
    ],
)
def test_what_is_no_split_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (line,) = refused(written(tmp_path, text))
    assert line.startswith(said)


def test_a_split_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "split.json") == ["data.split: split.json: no such file."]
    (tmp_path / "split.json").write_bytes(b'{"train": ["\xff"]}')
    assert refused(tmp_path / "split.json")[0].startswith("data.split: split.json: cannot be read ('utf-8' codec")


@st.composite
def grouped(draw: st.DrawFn) -> dict[str, str]:
    sizes = draw(st.lists(st.integers(1, 5), min_size=3, max_size=12))
    return {f"g{group}_{member}": f"g{group}" for group, size in enumerate(sizes) for member in range(size)}


def assert_whole_groups(parts: list[list[str]], groups: dict[str, str]) -> None:
    assert sorted(stem for part in parts for stem in part) == sorted(groups)
    homes = [{groups[stem] for stem in part} for part in parts]
    assert sum(len(home) for home in homes) == len(set(groups.values()))


shares = st.floats(0.05, 1.0)


@given(grouped(), shares, shares, st.floats(0.0, 1.0), st.integers(0, 99))
def test_a_ratio_deals_whole_groups_near_the_ratio(
    groups: dict[str, str], train: float, val: float, test: float, seed: int
) -> None:
    ratio = (train, val, test)
    dealt = split_by_ratio(groups, ratio, seed)
    assert list(dealt) == ["train", "val", "test"]
    assert_whole_groups(list(dealt.values()), groups)
    largest = max(list(groups.values()).count(group) for group in groups.values())
    for name, share in zip(dealt, ratio, strict=True):
        assert bool(dealt[name]) == (share > 0)
        assert len(dealt[name]) <= share / sum(ratio) * len(groups) + largest
        assert dealt[name] == sorted(dealt[name])
    backwards = dict(reversed(groups.items()))
    assert split_by_ratio(backwards, ratio, seed) == dealt


def test_single_cases_meet_the_ratio_and_the_seed_decides() -> None:
    groups = {f"case_{index:02d}": f"case_{index:02d}" for index in range(40)}
    dealt = [split_by_ratio(groups, (0.7, 0.15, 0.15), seed) for seed in range(3)]
    assert [[len(part) for part in split.values()] for split in dealt] == [[28, 6, 6]] * 3
    assert dealt[0] != dealt[1] != dealt[2]
    assert [len(part) for part in split_by_ratio(groups, (3, 1, 0), 0).values()] == [30, 10, 0]


def test_fewer_groups_than_parts_are_refused() -> None:
    groups = {"a": "p1", "b": "p1", "c": "p2"}
    with pytest.raises(InvalidInputError) as caught:
        split_by_ratio(groups, (0.6, 0.2, 0.2), 0)
    assert str(caught.value) == (
        "data.ratio: 2 group(s) cannot be dealt to 3 parts. Hint: more groups, or fewer parts."
    )
    assert split_by_ratio(groups, (0.6, 0.4, 0), 0)["test"] == []
    with pytest.raises(InvalidInputError, match=r"^data\.folds: 2 group\(s\) cannot be dealt to 5 parts\."):
        split_in_folds(groups, 5, 0)


@given(grouped(), st.integers(2, 3), st.integers(0, 99))
def test_folds_have_every_case_once_in_whole_groups_of_like_size(groups: dict[str, str], folds: int, seed: int) -> None:
    dealt = split_in_folds(groups, folds, seed)
    assert len(dealt) == folds
    assert all(dealt)
    assert_whole_groups(dealt, groups)
    largest = max(list(groups.values()).count(group) for group in groups.values())
    assert max(map(len, dealt)) <= len(groups) / folds + largest
    assert split_in_folds(groups, folds, seed) == dealt


@given(st.integers(0, 10_000))
def test_folds_are_dealt_the_largest_group_first(seed: int) -> None:
    sizes = {"large": 6, **{f"small{number}": 1 for number in range(6)}}
    groups = {f"{group}_{case}": group for group, size in sizes.items() for case in range(size)}
    assert [len(fold) for fold in split_in_folds(groups, 2, seed)] == [6, 6]


def test_a_pattern_takes_its_group_or_its_match() -> None:
    stems = ["p1_left", "p12_right"]
    assert groups_by_pattern(stems, r"^(p\d+)_") == {"p1_left": "p1", "p12_right": "p12"}
    assert groups_by_pattern(stems, r"p\d+") == {"p1_left": "p1", "p12_right": "p12"}


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        (r"^p(\d)_", ["does not match the stem 'p12_b'.", "does not match the stem 'q'."]),
        (r"(\d*)", ["matches no character of the stem 'p1_a'.", "matches no character of the stem 'p12_b'."]),
        (r"p|(q)", ["matches no character of the stem 'p1_a'.", "matches no character of the stem 'p12_b'."]),
    ],
)
def test_a_pattern_that_gives_a_stem_no_group_names_the_stem(pattern: str, lines: list[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        groups_by_pattern(["p1_a", "p12_b", "q"], pattern)
    said = str(caught.value).splitlines()
    assert said[: len(lines)][-2:] == [f"data.group.pattern: {pattern!r} {line}" for line in lines]


def test_a_pattern_must_be_a_regular_expression() -> None:
    with pytest.raises(InvalidInputError) as caught:
        groups_by_pattern(["a"], "(a")
    assert str(caught.value) == (
        "data.group.pattern: '(a' is no regular expression: missing ), unterminated subpattern at position 0."
    )


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def refused_table(path: Path, *columns: str) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        groups_by_table(["a", "b"], path, *columns)
    return str(caught.value).replace(str(path), "table.csv").splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_gives_each_stem_its_group(tmp_path: Path, encoding: str) -> None:
    text = 'stem,note,patient\r\na,"x,\ny",Grün\r\nother,,p9\r\nb,,p2\r\nb,again,p2\r\nc,,\r\n'
    assert groups_by_table(["b", "a"], table(tmp_path, text, encoding), "patient") == {"a": "Grün", "b": "p2"}
    path = table(tmp_path, "file,patient\na,p1\nb,p1\n")
    assert groups_by_table(["a", "b"], path, "patient", "file") == {"a": "p1", "b": "p1"}


def test_rows_that_are_missing_empty_or_contradict_each_other_come_together(tmp_path: Path) -> None:
    path = table(tmp_path, "stem,patient\na,p1\na,p2\n")
    assert refused_table(path, "patient") == [
        "table.csv:3: a is in patient 'p2', before it was in 'p1'.",
        "table.csv: no row for b. Hint: column 'stem' holds the stems of the images.",
    ]
    assert refused_table(table(tmp_path, "stem,patient\na,\nb\n"), "patient") == [
        "table.csv:2: a has no patient.",
        "table.csv:3: b has no patient.",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stem,patients\na,p1\n", "table.csv:1: no column 'patient'. Hint: did you mean patients?"),
        ("stem,xyz\na,p1\n", "table.csv:1: no column 'patient'. Hint: there are stem, xyz."),
        ("case,patient\na,p1\n", "table.csv:1: no column 'stem'. Hint: there are case, patient."),
        ("", "table.csv:1: no column 'patient'. Hint: there are none."),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, text: str, line: str) -> None:
    assert refused_table(table(tmp_path, text), "patient") == [line]


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused_table(tmp_path / "table.csv", "patient") == ["data.group.csv: table.csv: no such file."]
    (tmp_path / "table.csv").write_bytes(b"stem,patient\na,\xff\n")
    assert refused_table(tmp_path / "table.csv", "patient")[0].startswith(
        "data.group.csv: table.csv: cannot be read ('utf-8' codec"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [["stem", "patient"], ["a.png", " p1 "], ["b", "p2"]]
    (tmp_path / "t.csv").write_text("".join(f"{separator.join(row)}\n" for row in rows), encoding=encoding)
    assert groups_by_table(["a", "b"], tmp_path / "t.csv", "patient") == {"a": "p1", "b": "p2"}
