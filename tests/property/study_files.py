"""Study files that nobody means: valid ones with changes, freely written spaces and losses, mangled text, anything."""

import copy
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

EXAMPLE = (Path(__file__).parents[2] / "examples" / "brain.yaml").read_text(encoding="utf-8")
VALID: dict[str, Any] = {
    "name": "brain",
    "data": {"root": "data", "classes": ["a", "b"], "ratio": [0.7, 0.2, 0.1], "group": {"pattern": "(.+)_"}},
    "model": {"build": "a.b:c", "arguments": {"width": 8}, "weights": "w.pt"},
    "training": {"epochs": 9, "batch": 4, "optimizer": "sgd", "lr": 0.01, "crop": [64, 64], "seed": "per_trial"},
    "loss": {
        "terms": {"dice": {"batch": True}, "bce": {"pos_weight": [2.0]}, "t": {"kind": "tversky", "alpha": 0.5}},
        "weights": {"dice": 0.5, "bce": 0.5},
        "schedule": {"type": "linear", "end": {"bce": 1}},
    },
    "checkpoint": {"strategy": "interval", "interval": 2},
    "search": {
        "trials": 3,
        "space": {
            "presets": ["checkpoint_strategies"],
            "parameters": {
                "training.lr": {"float": [1e-3, 1e-2], "log": True},
                "training.weight_decay": {"float": [0.0, 0.5], "step": 0.1},
                "training.batch": {"int": [4, 16], "step": 4},
                "training.optimizer": {"choice": ["adamw", "sgd"]},
                "training.momentum": {"float": [0.8, 0.9], "when": {"training.optimizer": ["sgd"]}},
                "loss.weights": {"simplex": ["dice", "bce"], "min_weight": 0.05},
                "loss.schedule.type": {"choice": ["linear", "constant"]},
            },
        },
    },
    "scheduler": {"type": "asha", "grace": 3, "reduction": 3},
    "resources": {"gpus_per_trial": 0.5},
    "storage": {"url": "sqlite:////tmp/x.db"},
}
# What PyYAML, pydantic, torch and Optuna are known to stumble over.
TOKENS = [
    *(
        "&a ",
        "*a",
        "<<: *a",
        "<<: [*a, *a]",
        "!!set {a}",
        "!!binary QUI=",
        "!!int x",
        "!!int ''",
        "!!bool x",
        "!!float ''",
    ),
    *(
        "!!timestamp x",
        "!!omap [a: 1]",
        "!!python/name:os.system",
        "!x y",
        '"\\0"',
        '"\\ud800"',
        "0x" + "f" * 40,
        "1e999",
    ),
    *(".nan", "-.inf", "1:30", "2026-13-45", "0001-01-01 00:00:00 +23:00", "? ", "? [1]", "- ", "---\n", "%YAML 9.9\n"),
    *(
        "\t",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">",
        "'",
        '"',
        ": ",
        "#",
        "~",
        "=",
        "null",
        "[" * 60,
    ),
    *("1" * 5000, "9" * 30, "~nobody/x", ".", "[" * 60 + "]" * 60, "[" * 400 + "]" * 400, "&a [*a]", "&b {x: *b}"),
]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, inner in entries for place in places_in(inner, (*path, key))]


PLACES = places_in(VALID)
WORDS = sorted(
    {str(part) for place in PLACES for part in place}
    | {
        str(word)
        for word in ("best", "all", "adaptive", "temperature", "gamma", "kind", "a:b", ".a:b", "torch.nn:Linear")
    }
    | {
        "builtins:dict",
        "math:pi",
        "torch.nn:Identity",
        "class_weights",
        "label_smoothing",
        "focal",
        "training.epochs",
        "",
    }
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(),
    st.floats(1e-3, 1),
    st.text(max_size=6),
    st.sampled_from(WORDS),
    st.dates(dt.date(1900, 1, 1)),
)
KEYS = st.one_of(st.sampled_from(WORDS), SCALARS)
KINDS = ["dice", "bce", "focal", "tversky", "focal_tversky", "jaccard", "ce"]
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=8,
)


@st.composite
def changed_settings(draw: st.DrawFn) -> str:
    """A valid study with a few of its values replaced, deleted, renamed, nested or joined by others."""
    document = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(PLACES))
        change = draw(st.sampled_from(["replace", "delete", "rename", "add", "nest", "move"]))
        change_at(document, place, change, draw)
    return dumped(document)


def change_at(document: Any, place: tuple[Any, ...], change: str, draw: st.DrawFn) -> None:
    *above, last = place
    for key in above:
        try:
            document = document[key]
        except (LookupError, TypeError):
            return
    if not isinstance(document, dict) or last not in document:
        return
    if change == "delete":
        del document[last]
    elif change == "rename":
        document[draw(KEYS)] = document.pop(last)
    elif change == "add":
        document[draw(KEYS)] = draw(VALUES)
    elif change == "nest":
        document[last] = draw(st.sampled_from([{last: document[last]}, [document[last]]]))
    elif change == "move":
        document[last] = draw(st.sampled_from(list(document.values())))
    else:
        document[last] = draw(VALUES)


HUGE_AND_TINY = [1e300, -1e300, 1e-300, 5e-324, 2**62, 1e16, 0.1 + 0.2]
NUMBERS = st.one_of(st.integers(-2, 9), st.floats(0, 2), st.floats(), st.sampled_from(HUGE_AND_TINY))
NAMES = st.sampled_from(
    [
        *VALID["search"]["space"]["parameters"],
        "training.lr.x",
        "loss.weights.dice",
        "loss.terms.focal.gamma",
        "training",
    ]
)
OPTIONS = st.one_of(NUMBERS, st.booleans(), st.none(), st.sampled_from(WORDS))
RANGES = [
    st.fixed_dictionaries({kind: bounds}, optional=optional)
    for kind, bounds, optional in (
        ("float", st.tuples(NUMBERS, NUMBERS).map(sorted), {"log": st.booleans(), "step": NUMBERS}),
        ("int", st.tuples(st.integers(0, 4), st.integers(4, 2**62)).map(list), {"log": st.booleans(), "step": NUMBERS}),
        ("choice", st.lists(OPTIONS, min_size=2, max_size=3), {"when": st.dictionaries(NAMES, OPTIONS, max_size=1)}),
        ("simplex", st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), {"min_weight": NUMBERS}),
    )
]
SPECS = st.one_of(
    *RANGES, st.dictionaries(st.sampled_from(["float", "int", "log", "step", "when"]), VALUES, max_size=3)
)
TERMS = st.dictionaries(
    st.sampled_from(["alpha", "beta", "gamma", "pos_weight", "class_weights", "label_smoothing", "smooth_dr", "batch"]),
    st.one_of(NUMBERS, st.lists(NUMBERS, max_size=3), VALUES),
    max_size=2,
)
OWN = st.sampled_from(
    ["torch.nn:Linear", "torch.nn:Identity", "builtins:dict", "math:pi", ".a:b", "a:b", "torch.nn:L1Loss"]
)
OWN_TERMS = st.builds(
    lambda kind, options: {"kind": kind, **options}, OWN, st.dictionaries(st.text(max_size=5), VALUES)
)


@st.composite
def wild_space_and_loss(draw: st.DrawFn) -> str:
    """A valid study whose search space or loss is written freely, in words that belong there."""
    document = copy.deepcopy(VALID)
    if draw(st.booleans()):
        document["search"]["space"] = {"parameters": draw(st.dictionaries(NAMES, SPECS, max_size=3))}
    else:
        document["loss"] = {
            "terms": draw(st.dictionaries(st.sampled_from(KINDS), st.one_of(TERMS, OWN_TERMS), max_size=2)),
            "weights": draw(st.dictionaries(st.sampled_from(KINDS), st.floats(0), min_size=1, max_size=3)),
            "schedule": {"type": draw(st.sampled_from(["constant", "linear", "adaptive"]))}
            | draw(st.dictionaries(st.sampled_from(["end", "epochs", "temperature"]), VALUES, max_size=2)),
        }
    return dumped(document)


@st.composite
def mangled_text(draw: st.DrawFn) -> str:
    """The example with characters, tokens and lines inserted, deleted, doubled and shifted."""
    text = EXAMPLE
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from(MANGLERS))(text, draw)
    return text


def insert(text: str, draw: st.DrawFn) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(TOKENS))) + text[at:]


def delete(text: str, draw: st.DrawFn) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + text[at + draw(st.integers(1, 12)) :]


def double_line(text: str, draw: st.DrawFn) -> str:
    lines = text.split("\n")
    lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
    return "\n".join(lines)


def shift_line(text: str, draw: st.DrawFn) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = " " * draw(st.integers(0, 6)) + lines[at].lstrip()
    return "\n".join(lines)


def replace_value(text: str, draw: st.DrawFn) -> str:
    lines = text.split("\n")
    at = draw(st.sampled_from([index for index, line in enumerate(lines) if ":" in line] or [0]))
    lines[at] = f"{lines[at].partition(':')[0]}: {draw(st.sampled_from(TOKENS))}"
    return "\n".join(lines)


MANGLERS: list[Callable[[str, st.DrawFn], str]] = [insert, delete, double_line, shift_line, replace_value]


def dumped(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


FILES = st.one_of(changed_settings(), wild_space_and_loss(), mangled_text(), VALUES.map(dumped))

OVERRIDE = st.builds(
    "{}={}".format,
    st.sampled_from([".".join(map(str, place)) for place in PLACES] + ["", ".", "a b", "training.lr.x", "data.root.x"]),
    st.one_of(st.sampled_from(TOKENS), VALUES.map(lambda value: yaml.safe_dump(value, default_flow_style=True))),
)
OVERRIDES: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]), st.lists(st.one_of(OVERRIDE, st.text(max_size=5)), max_size=2)
)
