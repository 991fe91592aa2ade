"""Is what the report claims true? Thousands of simulated studies with known truth, beside the naive rule.

    python benchmarks/honesty.py [--studies 3000] [--noise DIR DIR...]

Each study has a baseline and three finalists, trained with five seeds each and scored on thirty groups of a held-out
split. The score of a setting is its true mean, plus how hard the group is (the same for all settings), plus the luck of
the seed (setting by setting), plus how the setting gets along with the group, plus noise of each training and group.
The deviations of the last noise are those of a real study: the four baselines of examples/nuclei.yaml with nine epochs
and `scheduler.type=none`, run five times with other values of `training.seed`, and measured by `--noise`.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reports import StudyTables
from reports.statistics import compare_settings, estimate_mean, group_scores

SETTINGS = ("baseline", "a", "b", "c")
TRUTH = 0.8


@dataclass(frozen=True)
class Noise:
    """Standard deviations of Dice.

    Attributes:
        seed: of the mean over cases, from seed to seed.
        paired: of the difference of two settings, from group to group.
        lasting: share of its variance that all seeds of a setting have in common; the rest is drawn with each training.
        hard: of the groups, which all settings share.
        skewed: whether groups and differences have the long lower tail of real Dice.
    """

    seed: float = 0.005
    paired: float = 0.03
    lasting: float = 1.0
    hard: float = 0.08
    skewed: bool = False


def simulate(
    random: np.random.Generator, noise: Noise, gain: float, *, seeds: int = 5, groups: int = 30
) -> pd.DataFrame:
    """Scores of one study; the setting `a` is better than the others by `gain`."""
    count, each = len(SETTINGS), noise.paired / np.sqrt(2)

    def draw(deviation: float, *shape: int) -> np.typing.NDArray[np.float64]:
        drawn = (1 - random.gamma(4, 1, shape) / 4) * 2 if noise.skewed else random.standard_normal(shape)
        return np.asarray(deviation * drawn)

    values = TRUTH + draw(noise.hard, 1, 1, groups) + noise.seed * random.standard_normal((count, seeds, 1))
    values = values + draw(each * np.sqrt(noise.lasting), count, 1, groups)
    values = values + draw(each * np.sqrt(1 - noise.lasting), count, seeds, groups)
    values[1] += gain
    setting, seed, group = (index.ravel() for index in np.indices(values.shape))
    columns = {"setting": np.array(SETTINGS)[setting], "seed": seed, "case": group, "group": group}
    return pd.DataFrame({**columns, "dice": values.ravel()})


def run(noise: Noise, gain: float, studies: int, seed: int) -> dict[str, float]:
    """Shares of studies in which a winner is named, the right one is, an interval covers, and the naive rule errs."""
    random = np.random.default_rng(seed)
    counts = dict.fromkeys(("named", "right", "mean covers", "difference covers", "naive names", "naive right"), 0.0)
    for _ in range(studies):
        scores = simulate(random, noise, gain)
        against = compare_settings(scores, "baseline").iloc[:3]
        best = against.iloc[against["difference"].argmax()]
        first = against.iloc[0]
        low, high = _interval_of(scores, "baseline")
        counts["named"] += bool(best["claim"])
        counts["right"] += bool(best["claim"]) and best["first"] == "a"
        counts["difference covers"] += first["low"] <= gain <= first["high"]
        counts["mean covers"] += low <= TRUTH <= high
        one_seed = scores[scores["seed"] == 0].groupby("setting")["dice"].mean()  # one training each, best score wins
        counts["naive names"] += one_seed.idxmax() != "baseline"
        counts["naive right"] += one_seed.idxmax() == "a"
    return {name: count / studies for name, count in counts.items()}


def measure(directories: Sequence[Path]) -> Noise:
    """The noise of real trainings: studies of the same settings and data that differ in `training.seed`."""
    found = group_scores(pd.concat(_baselines(directories), ignore_index=True))
    values = found.scores[:, :, ~np.isnan(found.scores).any(axis=(0, 1))]
    differences = [values[one] - values[two] for one in range(len(values)) for two in range(one)]
    paired = np.mean([difference.var(axis=1, ddof=1).mean() for difference in differences])
    lasting = np.mean([difference.mean(axis=0).var(ddof=1) for difference in differences])
    seeds = values.shape[1]
    lasting = max((lasting - paired / seeds) / (1 - 1 / seeds), 0.0)  # what the mean over seeds keeps of the rest
    return Noise(
        seed=float(np.sqrt(values.mean(axis=2).var(axis=1, ddof=1).mean())),
        paired=float(np.sqrt(paired)),
        lasting=float(lasting / paired),
        hard=float(values.mean(axis=(0, 1)).std(ddof=1)),
    )


def _baselines(directories: Sequence[Path]) -> Iterator[pd.DataFrame]:
    for seed, directory in enumerate(directories):
        cases = StudyTables(directory).cases
        yield cases[cases["baseline"].notna()].rename(columns={"baseline": "setting"}).assign(seed=seed)


def _interval_of(scores: pd.DataFrame, setting: str) -> tuple[float, float]:
    return estimate_mean(group_scores(scores[scores["setting"] == setting]).of(setting)).interval()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=3000)
    parser.add_argument("--noise", type=Path, nargs="+", help="studies to measure the noise on; nothing is simulated")
    given = parser.parse_args()
    if given.noise:
        print(measure(given.noise))
        return
    print("| noise | truth | named | right | mean covers | difference covers | naive names | naive right |")
    print("|---|---|---|---|---|---|---|---|")
    scenarios = {
        "as demanded": Noise(),
        "half of it anew each training": Noise(lasting=0.5),
        "skewed": Noise(skewed=True),
        "nuclei": Noise(seed=0.027, paired=0.064, lasting=0.79, hard=0.18),
    }
    for number, (name, noise) in enumerate(scenarios.items()):
        for gain in (0.0, 0.02):
            started = time.perf_counter()
            found = run(noise, gain, given.studies, number)
            cells = " | ".join(f"{100 * share:.1f} %" for share in found.values())
            print(f"| {name} | {'all equal' if not gain else f'a is better by {gain}'} | {cells} |", flush=True)
            print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
