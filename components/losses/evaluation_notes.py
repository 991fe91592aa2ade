"""What stands out in a comparison of losses, in plain sentences."""

from collections.abc import Callable, Sequence

from components.losses.findings import LossFindings

_SMALL_SHARE = 0.05  # of the gradient: below it a term hardly steers
_SMALL_TURN = 5  # degrees, as the table rounds them
_SLOW = 5.0  # times the fastest, and
_NOTICED = 10.0  # milliseconds: below them no training step feels the difference

_EMPTY = {
    "no gradient": "next to no gradient where a mask is empty, so that false alarms there are hardly unlearned. "
    "Hint: add a pixel loss such as bce.",
    "spike": "where a mask is empty the gradient is over ten times what it is with foreground. "
    "Hint: add a pixel loss such as bce, or clip gradients.",
    "not finite": "NaN or infinite where a mask is empty. Hint: larger smoothing.",
}


def find_notes(candidates: Sequence[LossFindings]) -> list[str]:
    """Return one sentence for each thing that stands out, with the losses that it is true of."""
    notes = []
    if candidates[0].empty is None:
        notes.append("No mask shown holds foreground, so empty masks were not looked at. Hint: more cases.")
    for verdict, text in _EMPTY.items():
        notes += _said_of(candidates, lambda found, verdict=verdict: _verdict(found) == verdict, text)  # type: ignore[misc]
    notes += _slow(candidates)
    notes += [note for found in candidates for note in _small_terms(found)]
    return notes + _said_of(
        candidates,
        lambda found: found.turn is not None and round(found.turn) <= _SMALL_TURN,
        f"a weight that moves by 0.1 turns the gradient by at most {_SMALL_TURN}°: fine steps in these weights "
        "will matter little.",
    )


def _said_of(candidates: Sequence[LossFindings], holds: Callable[[LossFindings], bool], text: str) -> list[str]:
    names = [found.name for found in candidates if holds(found)]
    return [f"{', '.join(names)}: {text}"] if names else []


def _verdict(found: LossFindings) -> str | None:
    return None if found.empty is None else found.empty.verdict


def _slow(candidates: Sequence[LossFindings]) -> list[str]:
    fastest = min(candidates, key=lambda found: found.milliseconds)
    limit = max(_SLOW * fastest.milliseconds, _NOTICED)
    slow = [f"{found.name} {found.milliseconds:.0f}" for found in candidates if found.milliseconds > limit]
    if not slow:
        return []
    return [f"Slow, in ms a step: {', '.join(slow)}; {fastest.name} takes {fastest.milliseconds:.1f}."]


def _small_terms(found: LossFindings) -> list[str]:
    notes = []
    for term in found.terms:
        largest = max(stage.shares[term] for stage in found.stages.values())
        if largest < _SMALL_SHARE and len(found.terms) > 1:
            notes.append(
                f"{found.name}: {term} has at most {100 * largest:.1f} % of the gradient; at this weight it hardly "
                "steers."
            )
    return notes
