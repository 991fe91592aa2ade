"""Text of others, made harmless where it enters."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.plain_text import BoundedText, error_text, escape, guard_cell, shorten, tame

_ANYTHING = st.text(st.characters(exclude_categories=()), max_size=200)


class NoText(Exception):  # noqa: N818 - as a stranger calls it
    def __str__(self) -> str:
        raise RuntimeError("no text")


@given(_ANYTHING)
def test_escaped_text_can_be_encoded_and_steers_no_terminal(text: str) -> None:
    tamed = escape(text)
    tamed.encode("utf-8")
    assert all(sign.isprintable() or sign in "\t\n" or ord(sign) > 0x9F for sign in tamed)
    assert escape(tamed) == tamed


def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    assert escape(b"caf\xe9.png".decode("utf-8", "surrogateescape")) == r"caf\xe9.png"
    assert escape("\x1b]0;TITLE\x07\x1b[2J \r[fake] ok") == r"\x1b]0;TITLE\x07\x1b[2J \x0d[fake] ok"


@given(_ANYTHING, st.integers(2, 50))
def test_a_bounded_text_has_head_and_tail_and_says_how_much_there_was(text: str, most: int) -> None:
    short = shorten(text, most)
    assert short.startswith(text[: most // 2])
    assert short == text if len(text) <= most else f"of {len(text):,} characters" in short
    assert len(tame(text, most)) <= 2 * most + 60


@given(st.lists(st.text("ab\né", max_size=30), max_size=20), st.integers(2, 40))
def test_a_bounded_stream_keeps_what_one_text_would(pieces: list[str], most: int) -> None:
    stream = BoundedText(most - most % 2)
    for piece in pieces:
        assert stream.write(piece) == len(piece)
    assert stream.take() == shorten("".join(pieces), most - most % 2)
    assert stream.take() == ""


def test_a_print_of_a_hundred_megabytes_is_held_in_kilobytes() -> None:
    stream = BoundedText(1000)
    for _ in range(100):
        print("x" * 1_000_000, file=stream)
    kept = stream.take()
    assert len(kept) < 1100
    assert "of 100,000,100 characters left out" in kept


def test_a_stream_that_strangers_close_stays_open() -> None:
    stream = BoundedText()
    stream.close()
    print("still here", file=stream)
    assert stream.take() == "still here\n"
    assert isinstance(stream, io.TextIOBase)


def test_errors_whose_text_is_huge_odd_or_missing() -> None:
    assert error_text(NoText()) == "NoText: (its text cannot be made: RuntimeError)"
    assert len(error_text(ValueError("E" * 5_000_000))) < 5000
    assert error_text(ValueError("caf\udce9")) == r"ValueError: caf\xe9"


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, -0.5),
        (None, None),
        ("plain", "plain"),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(cell: object, guarded: object) -> None:
    assert guard_cell(cell) == guarded
