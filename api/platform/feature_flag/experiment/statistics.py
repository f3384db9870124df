"""Statistics of experiments: intervals that hold however often one looks, and honest ones for few classes.

Moments of each arm are enough for people: nothing about single units is read. numpy and scipy are imported where they are needed,
because a host that answers requests needs them seldom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

ALPHA = 0.05
FEWEST = 50
"""Units of an arm below which the asymptotic interval says nothing yet."""
FEWEST_CLASSES = 3
SRM_P = 0.001
"""A ratio of samples less likely than this stops the reading: the split itself is broken."""
_TIGHTEST_AT = 2000
"""Units at which the sequence is narrowest; it holds at any other number too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums over the units of an arm: of a metric after exposure (y) and before it (x)."""

    n: int
    y: float
    yy: float
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The difference of an arm to the control, with an interval at 1 - ALPHA and its p-value."""

    difference: float
    low: float
    high: float
    p: float
    method: str
    degrees: float | None = None


def adjusted(arms: Mapping[str, Moments]) -> dict[str, Moments]:
    """Take out of y what x explains, with one slope for all arms (CUPED).

    Source: Deng, Xu, Kohavi, Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
    Data", WSDM 2013.
    """
    n = sum(arm.n for arm in arms.values())
    # Within the arms: a difference between them is what we look for.
    xx = sum(arm.xx - arm.x**2 / arm.n for arm in arms.values() if arm.n)
    xy = sum(arm.xy - arm.x * arm.y / arm.n for arm in arms.values() if arm.n)
    if n == 0 or xx <= 1e-12:
        return dict(arms)
    slope, mean = xy / xx, sum(arm.x for arm in arms.values()) / n
    return {name: _residual(arm, slope, mean) for name, arm in arms.items()}


def _residual(arm: Moments, slope: float, mean: float) -> Moments:
    xx = arm.xx - 2 * mean * arm.x + arm.n * mean**2
    x, xy = arm.x - arm.n * mean, arm.xy - mean * arm.y
    return Moments(n=arm.n, y=arm.y - slope * x, yy=arm.yy - 2 * slope * xy + slope**2 * xx)


def always_valid(control: Moments, arm: Moments) -> Effect:
    """Return the effect with an asymptotic confidence sequence: it may be looked at after every unit.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences", Ann. Stat. 2024, theorem 2.2, on the influence function of a difference of means.
    """
    if min(control.n, arm.n) < FEWEST:
        difference = arm.y / arm.n - control.y / control.n if control.n and arm.n else 0.0
        return Effect(difference=difference, low=-inf, high=inf, p=1.0, method="too few yet")
    difference, variance, n = _difference(control, arm)
    radius, p = sequence(difference, variance, n)
    return Effect(difference=difference, low=difference - radius, high=difference + radius, p=p, method="always valid")


def _difference(control: Moments, arm: Moments) -> tuple[float, float, int]:
    """Return the difference of means, the variance of its influence function, and the number of units."""
    n = control.n + arm.n
    variance = n * (_variance(control) / control.n + _variance(arm) / arm.n)
    return arm.y / arm.n - control.y / control.n, variance, n


def _variance(arm: Moments) -> float:
    return max(0.0, (arm.yy - arm.y**2 / arm.n) / (arm.n - 1))


def sequence(difference: float, variance: float, n: int) -> tuple[float, float]:
    """Return the radius of the confidence sequence after n units, and the always-valid p-value."""
    rho2 = (-2 * log(ALPHA) + log(-2 * log(ALPHA)) + 1) / _TIGHTEST_AT
    scaled = n * rho2 + 1
    radius = sqrt(variance * 2 * scaled / (n**2 * rho2) * log(sqrt(scaled) / ALPHA))
    if variance <= 0:
        return 0.0, 1.0 if difference == 0 else 0.0
    exponent = difference**2 * n**2 * rho2 / (2 * variance * scaled)
    return radius, min(1.0, exp(max(-700.0, 0.5 * log(scaled) - exponent)))


def sample_ratio_p(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Return an always-valid p-value of the split's being as planned: a Dirichlet prior around the plan against the plan.

    Source: Lindon, Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022.
    """
    from scipy.special import gammaln

    total = sum(weights)
    shares = [weight / total for weight in weights]
    prior = [100 * share for share in shares]
    n = sum(counts)
    evidence = float(gammaln(sum(prior)) - gammaln(sum(prior) + n))
    for count, share, alpha in zip(counts, shares, prior, strict=True):
        evidence += float(gammaln(alpha + count) - gammaln(alpha)) - count * log(share)
    return min(1.0, exp(-max(-700.0, min(700.0, evidence))))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values that account for their number. Source: Holm, Scand. J. Statist. 1979."""
    adjusted_ps: dict[str, float] = {}
    highest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p))
        adjusted_ps[name] = highest
    return adjusted_ps


def by_classes(control: Sequence[tuple[float, float]], arm: Sequence[tuple[float, float]]) -> Effect:
    """Return the effect with the class as the unit: pairs (mean after, mean before) of each class.

    It holds at one look, when the experiment is stopped: classes are too few for a sequence.
    """
    import numpy as np

    if min(len(control), len(arm)) < FEWEST_CLASSES:
        return Effect(difference=0.0, low=-inf, high=inf, p=1.0, method="too few classes yet")
    y = np.array([pair[0] for pair in (*control, *arm)], dtype=float)
    before = np.array([pair[1] for pair in (*control, *arm)], dtype=float)
    treated = np.array([0.0] * len(control) + [1.0] * len(arm))
    columns = [np.ones_like(y), treated]
    # A covariate costs a degree of freedom: with few classes it is not worth it.
    if np.ptp(before) > 0 and len(y) >= 10:
        columns.append(before - before.mean())
    return cluster_robust(y, np.column_stack(columns), np.arange(len(y)), coefficient=1)


def cluster_robust(y: "Numbers", x: "Numbers", clusters: "Numbers", *, coefficient: int) -> Effect:
    """Return a coefficient of least squares with CR2 errors and Satterthwaite degrees of freedom.

    Source: Pustejovsky, Tipton, "Small-Sample Methods for Cluster-Robust Variance Estimation and Hypothesis Testing in Fixed
    Effects Models", J. Bus. Econ. Stat. 2018, with independence as the working model.
    """
    import numpy as np
    from scipy.stats import t as student

    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    residual = y - x @ beta
    hat = x @ bread @ x.T
    keep = np.eye(len(y)) - hat
    contrast = bread[coefficient]
    variance = 0.0
    directions: list[Any] = []
    for cluster in np.unique(clusters):
        rows = np.flatnonzero(clusters == cluster)
        values, vectors = np.linalg.eigh(keep[np.ix_(rows, rows)])
        roots = np.where(values > 1e-10, 1 / np.sqrt(np.maximum(values, 1e-10)), 0.0)
        adjusted_rows = contrast @ x[rows].T @ (vectors * roots) @ vectors.T
        variance += float(adjusted_rows @ residual[rows]) ** 2
        directions.append(adjusted_rows @ keep[rows])
    products = np.array(directions) @ np.array(directions).T
    degrees = float(np.trace(products) ** 2 / np.sum(products**2))
    difference, error = float(beta[coefficient]), sqrt(variance)
    if error == 0:
        return Effect(difference=difference, low=difference, high=difference, p=1.0, method="CR2", degrees=degrees)
    radius = float(student.ppf(1 - ALPHA / 2, degrees)) * error
    p = 2 * float(student.sf(abs(difference) / error, degrees))
    return Effect(
        difference=difference, low=difference - radius, high=difference + radius, p=p, method="CR2", degrees=degrees
    )


def classes_needed(*, effect: float, deviation: float, people: int, icc: float, power: float = 0.8) -> int:
    """Return how many classes both arms need together to find an effect, of so many people each.

    Source: Donner, Klar, "Design and Analysis of Cluster Randomization Trials in Health Research", 2000, section 5.1, with
    Student's t for the degrees of freedom that there are.
    """
    from scipy.stats import t as student

    variance = deviation**2 * (1 + (people - 1) * icc) / people
    arm = 2
    while arm < 100_000:
        degrees = 2 * arm - 2
        quantiles = float(student.ppf(1 - ALPHA / 2, degrees) + student.ppf(power, degrees))
        if quantiles**2 * 2 * variance / arm <= effect**2:
            break
        arm += max(1, arm // 50)
    return 2 * arm
