"""Deals cases to train, validation and test, or to folds: by a file, or seeded and by group."""

import difflib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.data.folder.problems import Problems
from components.errors import InvalidInputError

Stems = dict[str, list[str]]
SPLITS = ("train", "val", "test")
DEFAULT_RATIO = (0.7, 0.15, 0.15)


def read_split(path: Path, stems: Sequence[str]) -> Stems:
    """Read a JSON file with the stems of `train`, `val` and, if there is one, `test`.

    Args:
        path: the file.
        stems: that have files; those which the split does not name are not used.

    Raises:
        InvalidInputError: not such a file, unknown stems, or a stem in two splits; lists every problem.
    """
    text, content = _read_json(path)
    problems = Problems()
    if not isinstance(content, dict) or not {"train", "val"} <= set(content) <= set(SPLITS):
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise InvalidInputError(f"{path}: found {found}; expected lists of stems in train, val and, optionally, test.")
    known, where = set(stems), dict[str, str]()
    for name, members in content.items():
        if not isinstance(members, list) or not all(isinstance(stem, str) for stem in members):
            problems.add(f"{path}: {name} must be a list of stems.")
            continue
        content[name] = [unicodedata.normalize("NFC", stem) for stem in members]
        for stem in content[name]:
            _check_member(f"{path}:{_line_of(stem, text)}", stem, name, known, where, problems)
    for name in ("train", "val"):
        if content[name] == []:
            problems.add(f"{path}: {name} is empty.")
    problems.raise_if_any()
    return {name: list(content.get(name, [])) for name in SPLITS}


def split_by_ratio(groups: Mapping[str, str], ratio: Sequence[float], seed: int) -> Stems:
    """Deal whole groups to train, val and test, near the ratio of cases.

    Args:
        groups: group of each stem.
        ratio: shares of train, val and test; need not sum to 1.
        seed: of the order in which groups are dealt.

    Raises:
        InvalidInputError: fewer groups than splits with a share.
    """
    shares = {name: share for name, share in zip(SPLITS, ratio, strict=True) if share > 0}
    dealt = _deal(groups, shares, seed, "data.ratio")
    return {name: dealt.get(name, []) for name in SPLITS}


def split_in_folds(groups: Mapping[str, str], folds: int, seed: int) -> list[list[str]]:
    """Deal whole groups to folds of about equally many cases, the largest groups first.

    Dealt in any order, a large group that comes late makes its fold larger than all others (Graham 1969, LPT).

    Raises:
        InvalidInputError: fewer groups than folds.
    """
    return list(
        _deal(groups, {str(fold): 1.0 for fold in range(folds)}, seed, "data.folds", largest_first=True).values()
    )


def _deal(
    groups: Mapping[str, str], shares: Mapping[str, float], seed: int, where: str, *, largest_first: bool = False
) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for stem in groups:
        members.setdefault(groups[stem], []).append(stem)
    if len(members) < len(shares):
        raise InvalidInputError(
            f"{where}: {len(members)} group(s) cannot be dealt to {len(shares)} parts. "
            "Hint: more groups, or fewer parts."
        )
    names = sorted(members)
    order = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    if largest_first:
        order.sort(key=lambda group: -len(members[group]))  # stable: groups of one size stay in the seed's order
    dealt: dict[str, list[str]] = {name: [] for name in shares}
    for position, group in enumerate(order):
        empty = [name for name in dealt if not dealt[name]]
        # The last groups go to parts that are still empty; before, to the part that lacks most of its share.
        open_to = empty if len(order) - position <= len(empty) else list(dealt)
        chosen = min(open_to, key=lambda name: len(dealt[name]) / shares[name])
        dealt[chosen] += members[group]
    return {name: sorted(stems) for name, stems in dealt.items()}


def _check_member(
    place: str, stem: str, split: str, known: set[str], where: dict[str, str], problems: Problems
) -> None:
    if stem not in known:
        near = [] if problems.full else difflib.get_close_matches(stem, known, n=1)
        problems.add(
            f"{place}: {split} names {stem!r}, which has no image and mask."
            + (f" Hint: did you mean {near[0]}?" if near else " Hint: write stems, without suffix.")
        )
    elif stem in where:
        twice = "twice" if where[stem] == split else f"in {where[stem]} and in {split}"
        problems.add(f"{place}: {stem!r} stands {twice}. Hint: keep it in one split.")
    where.setdefault(stem, split)


def _read_json(path: Path) -> tuple[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, json.loads(text)
    except FileNotFoundError:
        raise InvalidInputError(f"data.split: {path}: no such file.") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{path}:{error.lineno}:{error.colno}: no JSON ({error.msg}).") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"data.split: {path}: cannot be read ({error}).") from None


def _line_of(stem: str, text: str) -> int:
    """Line of the last mention of a stem."""
    position = max(text.rfind(json.dumps(stem, ensure_ascii=escaped)) for escaped in (False, True))
    return text.count("\n", 0, max(position, 0)) + 1
