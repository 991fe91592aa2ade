"""Whether probabilities are what they say, and the one temperature that brings them closest to it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses.ignored import valid_pixels
from components.mask_policy import FOREGROUND, checked_policy
from components.metrics.dice import Mode

BINS = 15  # as in Guo et al.
SAMPLE = 1 << 18  # pixels: the error of a bin with a hundredth of them is below 0.01
_MOST = 16.0  # beyond it, or below 1/16, the logits tell nothing, or the masks have no error
_HALVINGS = 60
_KEYS = 1 << 62

Values = npt.NDArray[np.float64]


class LogitSample:
    """Collects logits and truth of a uniform sample of pixels, so that memory is bounded.

    The same cases in the same order give the same sample, whatever the batches. In `multilabel` each class of a pixel
    counts as one.

    Args:
        mode: what the channels mean.
        ignore_index: as in `DiceCounts`.
        most: pixels that are kept.

    Raises:
        InvalidInputError: the ignored index is a class.

    Example:
        >>> sample = LogitSample("binary")
        >>> sample.add(torch.tensor([[[[1.0, -2.0]]]]), torch.tensor([[[[1, 0]]]]))
        >>> sorted(sample.logits.ravel().tolist())
        [-2.0, 1.0]
    """

    def __init__(self, mode: Mode, ignore_index: int | None = None, most: int = SAMPLE) -> None:
        self._mode, self._most, self._cases = mode, most, 0
        self._ignore_index = checked_policy(None, ignore_index, mode).ignore_index
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._logits, self._truth = torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)

    @property
    def many(self) -> bool:
        """Whether the largest logit decides."""
        return self._mode == "multiclass"

    @property
    def logits(self) -> Values:
        """`(pixels, classes)` in `multiclass`, else `(pixels, 1)`."""
        return self._logits.double().numpy()

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """`(pixels,)`: class index, or 0/1."""
        return self._truth.numpy()

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Take a batch in; shapes as in `DiceCounts.add`."""
        for case, mask in zip(logits.detach().float().cpu(), target.cpu(), strict=True):
            rows, truth = self._pixels(case, mask)
            draw = torch.Generator().manual_seed(self._cases)
            keys = torch.randint(_KEYS, (len(truth),), generator=draw)
            self._cases += 1
            if len(self._keys) == self._most:  # what cannot get in is not sorted
                near = keys < self._keys[-1]
                keys, rows, truth = keys[near], rows[near], truth[near]
            keys = torch.cat([self._keys, keys])
            kept = keys.argsort(stable=True)[: self._most]
            self._keys = keys[kept]
            self._logits = torch.cat([self._logits.reshape(-1, rows.shape[1]), rows])[kept]
            self._truth = torch.cat([self._truth, truth])[kept]

    def _pixels(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        classes = len(logits)
        rows = logits.reshape(classes, -1).T if self.many else logits.reshape(-1, 1)
        flat = target.reshape(-1)
        if self._ignore_index is not None:
            valid = valid_pixels(flat, self._ignore_index, classes if self.many else None)
            rows, flat = rows[valid], flat[valid]
        return rows, (flat if self.many else flat > FOREGROUND).long()


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels whose probability lies in `(low, high]`; `probability` is their mean, `found` the share that came true."""

    low: float
    high: float
    pixels: int
    probability: float
    found: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from what was found.

    Attributes:
        ece: expected calibration error: mean over the pixels of the distance between a bin's probability and what was
            found there.
        nll: mean negative log-likelihood, in nats.
        bins: those with pixels.
    """

    ece: float
    nll: float
    bins: tuple[ReliabilityBin, ...]

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def reliability(sample: LogitSample, temperature: float = 1.0) -> Reliability:
    """Compare the probabilities at a temperature with the truth, in 15 bins of equal width.

    In `binary` and `multilabel` that is the probability of foreground and the share of foreground; in `multiclass` the
    largest probability and the share in which its class is the true one.

    Args:
        sample: with at least one pixel.
        temperature: the logits are divided by it.

    Raises:
        InvalidInputError: the sample is empty, or a logit is NaN or infinite.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks (ICML 2017).

    Example:
        >>> sample = LogitSample("binary")
        >>> sample.add(torch.zeros(1, 1, 1, 4), torch.tensor([[[[1, 1, 1, 0]]]]))
        >>> reliability(sample).ece  # says 0.5, is 0.75
        0.25
    """
    logits, truth = _checked(sample)
    shares, right = _shares(logits / temperature, truth, many=sample.many)
    place = np.clip(np.ceil(shares * BINS).astype(int) - 1, 0, BINS - 1)
    pixels = np.bincount(place, minlength=BINS)
    said, found = (np.bincount(place, weights=values, minlength=BINS) for values in (shares, right))
    bins = tuple(
        ReliabilityBin(
            index / BINS, (index + 1) / BINS, int(count), float(said[index] / count), float(found[index] / count)
        )
        for index, count in enumerate(pixels)
        if count
    )
    return Reliability(
        ece=float(np.abs(said - found).sum() / len(truth)),
        nll=_nll(logits / temperature, truth, many=sample.many),
        bins=bins,
    )


def fit_temperature(sample: LogitSample) -> float:
    """The temperature T > 0 of the least negative log-likelihood of `logits / T`, one for all classes.

    Masks at probability ½, and those of the largest logit, stay as they are. The likelihood is convex in 1/T, so that
    halving the interval in which its slope changes sign finds the one minimum.

    Args:
        sample: with at least one pixel.

    Returns:
        T to four digits; 1 where none between 1/16 and 16 is best, as of masks without a single wrong pixel.

    Raises:
        InvalidInputError: the sample is empty, or a logit is NaN or infinite.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On Calibration of Modern Neural Networks (ICML 2017), section 4.2.

    Example:
        >>> sample = LogitSample("binary")
        >>> sample.add(torch.full((1, 1, 1, 4), 2.0), torch.tensor([[[[1, 1, 1, 0]]]]))
        >>> fit_temperature(sample)  # 2 / ln 3: sigmoid(ln 3) is 3/4
        1.82
    """
    logits, truth = _checked(sample)
    low, high = -np.log(_MOST), np.log(_MOST)  # of log 1/T
    if _slope(np.exp(low), logits, truth, many=sample.many) >= 0:
        return 1.0
    if _slope(np.exp(high), logits, truth, many=sample.many) <= 0:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(np.exp(middle), logits, truth, many=sample.many) > 0:
            high = middle
        else:
            low = middle
    return float(f"{np.exp(-(low + high) / 2):.4g}")


def _checked(sample: LogitSample) -> tuple[Values, npt.NDArray[np.int64]]:
    logits, truth = sample.logits, sample.truth
    if not len(truth):
        raise InvalidInputError("calibration: the sample holds no pixel. Hint: are all of them ignored?")
    if not np.isfinite(logits).all():
        raise InvalidInputError("calibration: a logit is NaN or infinite. Hint: does the network's training converge?")
    return logits, truth


def _shares(logits: Values, truth: npt.NDArray[np.int64], *, many: bool) -> tuple[Values, npt.NDArray[Any]]:
    """Probability of each pixel's statement, and whether it came true."""
    if many:
        return _softmax(logits).max(axis=1), logits.argmax(axis=1) == truth
    return _sigmoid(logits[:, 0]), truth


def _nll(logits: Values, truth: npt.NDArray[np.int64], *, many: bool) -> float:
    if many:
        top = logits.max(axis=1)
        whole = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
        return float((whole - logits[np.arange(len(truth)), truth]).mean())
    return float(np.logaddexp(0, np.where(truth == 1, -logits[:, 0], logits[:, 0])).mean())


def _slope(inverse: float, logits: Values, truth: npt.NDArray[np.int64], *, many: bool) -> float:
    """Derivative of the mean negative log-likelihood by 1/T."""
    if many:
        expected = (_softmax(inverse * logits) * logits).sum(axis=1)
        return float((expected - logits[np.arange(len(truth)), truth]).mean())
    return float((logits[:, 0] * (_sigmoid(inverse * logits[:, 0]) - truth)).mean())


def _sigmoid(values: Values) -> Values:
    return np.exp(-np.logaddexp(0, -values))


def _softmax(logits: Values) -> Values:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
