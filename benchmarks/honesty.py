"""Is what the report claims true? Thousands of simulated studies with known truth, in every cell of a table of designs.

    PYTHONPATH=. python benchmarks/honesty.py [--studies 10000] [--out honesty.csv]   # skips the cells that OUT has
    PYTHONPATH=. python benchmarks/honesty.py --power                                 # beside the naive rule
    PYTHONPATH=. python benchmarks/honesty.py --noise DIR DIR...                      # of real studies

Each study has a baseline and finalists, trained with several seeds each and scored on groups of a held-out split. The
score of a setting is its true mean, plus how hard the group is (the same for all settings), plus the luck of the seed
(setting by setting), plus how the setting gets along with the group, plus noise of each training and group. The
deviations of `nuclei` are those of a real study: the four baselines of examples/nuclei.yaml with nine epochs and
`scheduler.type=none`, run five times with other values of `training.seed`, and measured by `--noise`.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports import StudyTables
from reports.statistics import MIN_GROUPS, MIN_SEEDS, claim_tail, crossed_parts, group_scores, holm_of_studies, tail

TRUTH = 0.8
LEVEL = 0.05
DESIGNS = tuple(itertools.product((2, 3, 5, 10), (1, 3, 8), (6, 10, 30, 200)))  # seeds, finalists, groups
COLUMNS = ("seeds", "finalists", "noise", "groups", "studies", "named", "claimed", "difference", "mean", "constant")
_SCORES_AT_ONCE = 4_000_000
_ROUNDING = 1e-18  # variance of a mean below which nothing varies but the arithmetic
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of Dice.

    Attributes:
        seed: of the mean over cases, from seed to seed.
        paired: of the difference of two settings, from group to group.
        lasting: share of its variance that all seeds of a setting have in common; the rest is drawn with each training.
        hard: of the groups, which all settings share.
        skewed: whether groups and differences have the long lower tail of real Dice.
        heavy: whether everything follows a t distribution with three degrees of freedom.
        noisier: how many times noisier the seeds of the first finalist are.
        step: that scores are rounded to, which makes ties; 0 for none.
    """

    seed: float = 0.005
    paired: float = 0.03
    lasting: float = 1.0
    hard: float = 0.08
    skewed: bool = False
    heavy: bool = False
    noisier: float = 1.0
    step: float = 0.0


NUCLEI = Noise(seed=0.027, paired=0.064, lasting=0.79, hard=0.18)
NOISES = {
    "demanded": Noise(),
    "nuclei": NUCLEI,
    "seeds dominate": Noise(seed=0.03, paired=0.01, lasting=0.5),
    "one 10 x noisier": Noise(noisier=10),
    "heavy tails": Noise(heavy=True),
    "ties": Noise(step=0.05),
}


@dataclass(frozen=True)
class Shares:
    """What came of many studies, each an array with an entry a study.

    Attributes:
        named: whether the finalist with the highest mean is claimed to beat the baseline.
        right: whether it is, and it is the first, which alone may truly be better.
        claimed: whether anything is claimed of any finalist.
        difference: whether the interval of the first finalist's difference holds the truth.
        mean: whether the interval of the baseline's mean does.
        constant: whether that difference does not vary, and has no interval.
    """

    named: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]
    claimed: npt.NDArray[np.bool_]
    difference: npt.NDArray[np.bool_]
    mean: npt.NDArray[np.bool_]
    constant: npt.NDArray[np.bool_]


def draw_scores(random: np.random.Generator, noise: Noise, gain: float, shape: tuple[int, int, int, int]) -> Floats:
    """Scores `(studies, settings, seeds, groups)`: the baseline first, and the second setting better by `gain`."""
    studies, settings, seeds, groups = shape
    each = noise.paired / np.sqrt(2)

    def draw(deviation: float, *shape: int, skewed: bool = noise.skewed) -> Floats:
        if noise.heavy:
            drawn = random.standard_t(3, shape) / np.sqrt(3)
        else:
            drawn = (1 - random.gamma(4, 1, shape) / 4) * 2 if skewed else random.standard_normal(shape)
        return np.asarray(deviation * drawn)

    luck = draw(noise.seed, studies, settings, seeds, 1, skewed=False)
    luck[:, 1] *= noise.noisier
    values = TRUTH + draw(noise.hard, studies, 1, 1, groups) + luck
    values = values + draw(each * np.sqrt(noise.lasting), studies, settings, 1, groups)
    if noise.lasting < 1:
        values = values + draw(each * np.sqrt(1 - noise.lasting), studies, settings, seeds, groups)
    values[:, 1] += gain
    return np.round(values / noise.step) * noise.step if noise.step else values


def simulate(
    random: np.random.Generator, noise: Noise, gain: float, *, seeds: int = 5, groups: int = 30, finalists: int = 3
) -> pd.DataFrame:
    """Scores of one study, as `reports.statistics` takes them; the setting `a` is better than the others by `gain`."""
    return as_table(draw_scores(random, noise, gain, (1, finalists + 1, seeds, groups))[0])


def as_table(values: Floats) -> pd.DataFrame:
    """Scores `(settings, seeds, groups)` as a table; the settings are called `baseline`, `a`, `b`, ..."""
    names = np.array(["baseline", *(chr(ord("a") + index) for index in range(len(values) - 1))])
    setting, seed, group = (index.ravel() for index in np.indices(values.shape))
    columns = {"setting": names[setting], "seed": seed, "case": group, "group": group}
    return pd.DataFrame({**columns, "dice": values.ravel()})


def judge(scores: Floats, gain: float = 0.0) -> Shares:
    """What `reports.statistics` concludes of studies `(studies, settings, seeds, groups)`, all at once.

    A test compares it with `conclude`, study by study.
    """
    seeds, groups = scores.shape[-2:]
    if seeds < MIN_SEEDS or groups < MIN_GROUPS:
        message = f"{seeds} seeds and {groups} groups: nothing is claimed, and there is no interval."
        raise ValueError(message)
    freedoms = (seeds - 1, groups - 1)
    mean, of_seeds, of_groups = crossed_parts(scores[:, 1:] - scores[:, :1])
    varies = of_seeds + of_groups > _ROUNDING
    some = np.where(varies, of_seeds, 1.0)
    p_values = np.where(varies, claim_tail(mean, some, of_groups, freedoms), np.nan)
    beyond = tail(mean, some, of_groups, freedoms) < LEVEL / 2
    claims = (holm_of_studies(p_values) <= LEVEL) & beyond
    best = mean.argmax(axis=1)
    named = np.take_along_axis(claims, best[:, None], axis=1)[:, 0]
    level, by_seed, by_group = crossed_parts(scores[:, 0])
    return Shares(
        named=named,
        right=named & (best == 0),
        claimed=np.asarray(claims.any(axis=1)),
        difference=_covers(mean[:, 0] - gain, of_seeds[:, 0], of_groups[:, 0], freedoms),
        mean=_covers(level - TRUTH, by_seed, by_group, freedoms),
        constant=~varies[:, 0],
    )


def run(noise: Noise, design: tuple[int, int, int], studies: int, gain: float = 0.0, seed: int = 0) -> dict[str, float]:
    """Shares of studies, by the names of `Shares`, and those of the naive rule: one training each, the best score wins.

    Args:
        noise: of the scores.
        design: seeds, finalists, groups.
        studies: how many.
        gain: true advantage of the first finalist.
        seed: of the draws.
    """
    seeds, finalists, groups = design
    random = np.random.default_rng([seed, *design])
    at_once = max(1, _SCORES_AT_ONCE // ((finalists + 1) * seeds * groups))
    counts: dict[str, float] = {}
    for start in range(0, studies, at_once):
        scores = draw_scores(random, noise, gain, (min(at_once, studies - start), finalists + 1, seeds, groups))
        naive = scores[:, :, 0].mean(axis=-1).argmax(axis=1)
        found = {**vars(judge(scores, gain)), "naive named": naive > 0, "naive right": naive == 1}
        for name, values in found.items():
            counts[name] = counts.get(name, 0.0) + float(values.sum())
    with_interval = max(studies - counts["constant"], 1)
    return {name: count / (with_interval if name == "difference" else studies) for name, count in counts.items()}


def fill(path: Path, studies: int) -> None:
    """Simulate each cell that the table at `path` lacks, and add a line for it."""
    done = set(_cells(path)) if path.exists() else set()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(COLUMNS)
        for number, (name, noise) in enumerate(NOISES.items()):
            for seeds, finalists, groups in DESIGNS:
                if seeds < MIN_SEEDS or (seeds, finalists, name, groups) in done:
                    continue
                found = run(noise, (seeds, finalists, groups), studies, seed=number)
                shares = (f"{found[column]:.4f}" for column in COLUMNS[5:])
                writer.writerow((seeds, finalists, name, groups, studies, *shares))
                file.flush()


def _cells(path: Path) -> dict[tuple[int, int, str, int], dict[str, float]]:
    with path.open(newline="") as file:
        return {
            (int(row["seeds"]), int(row["finalists"]), row["noise"], int(row["groups"])): {
                column: 100 * float(row[column]) for column in COLUMNS[5:]
            }
            for row in csv.DictReader(file)
        }


def print_table(path: Path) -> None:
    """The table in Markdown: named, claimed, difference covered, mean covered, in percent."""
    cells = _cells(path)
    groups = sorted({group for *_, group in cells})
    print(f"| seeds | finalists | noise | {' | '.join(f'{group} groups' for group in groups)} |")
    print("|---" * (3 + len(groups)) + "|")
    for row in sorted({cell[:3] for cell in cells}, key=lambda row: (row[0], row[1], list(NOISES).index(row[2]))):
        found = [cells.get((*row, group)) for group in groups]
        shares = [" ".join(f"{cell[name]:.1f}" for name in COLUMNS[5:9]) if cell else "" for cell in found]
        print(f"| {' | '.join(map(str, (*row, *shares)))} |")
    worst = {name: [cell[name] for cell in cells.values()] for name in COLUMNS[5:]}
    print("\n" + "; ".join(f"{name} {min(values):.2f} to {max(values):.2f} %" for name, values in worst.items()))


def print_power(studies: int) -> None:
    """Five seeds, thirty groups and three finalists beside the naive rule, also where one is better."""
    shown = ("named", "right", "mean", "difference", "naive named", "naive right")
    print(f"| noise | truth | {' | '.join(shown)} |")
    print("|---" * (2 + len(shown)) + "|")
    scenarios = {
        "demanded": Noise(),
        "half of it anew each training": Noise(lasting=0.5),
        "skewed": Noise(skewed=True),
        "nuclei": NUCLEI,
    }
    for (number, (name, noise)), gain in itertools.product(enumerate(scenarios.items()), (0.0, 0.02)):
        found = run(noise, (5, 3, 30), studies, gain, seed=number)
        cells = " | ".join(f"{100 * found[column]:.1f} %" for column in shown)
        print(f"| {name} | {f'a is better by {gain}' if gain else 'all equal'} | {cells} |", flush=True)


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


def _covers(
    distance: Floats, of_seeds: Floats, of_groups: Floats, freedoms: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    varies = of_seeds + of_groups > _ROUNDING
    beyond = tail(np.abs(distance), np.where(varies, of_seeds, 1.0), of_groups, freedoms)
    return np.asarray(varies & (beyond >= LEVEL / 2))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=10_000, help="simulated in each cell")
    parser.add_argument("--out", type=Path, default=Path("honesty.csv"), help="table of cells; those there are kept")
    parser.add_argument("--power", action="store_true", help="five seeds and thirty groups, beside the naive rule")
    parser.add_argument("--noise", type=Path, nargs="+", help="studies to measure the noise on; nothing is simulated")
    given = parser.parse_args()
    if given.noise:
        print(measure(given.noise))
    elif given.power:
        print_power(given.studies)
    else:
        fill(given.out, given.studies)
        print_table(given.out)


if __name__ == "__main__":
    main()
