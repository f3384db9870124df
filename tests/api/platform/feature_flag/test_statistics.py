"""Statistics of experiments: false alarms stay where they are promised, whatever one does, and effects are found."""

from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from api.platform.feature_flag.experiment import statistics
from api.platform.feature_flag.experiment.statistics import Moments


def moments(y: np.ndarray, x: np.ndarray | None = None) -> Moments:
    x = np.zeros_like(y) if x is None else x
    sums = (float(each.sum()) for each in (y, y * y, x, x * x, x * y))
    return Moments(n=len(y), **dict(zip(("y", "yy", "x", "xx", "xy"), sums, strict=True)))


@pytest.mark.parametrize("kind", ["skewed", "binary"])
def test_peeking_a_thousand_times_keeps_five_percent_false_alarms(kind: str) -> None:
    rng = np.random.default_rng(20310504)
    experiments, units = 200, 4_000
    looks = np.unique(np.linspace(2 * statistics.FEWEST, units, 1_000).astype(int))
    alarms = 0
    for _ in range(experiments):
        y = rng.exponential(size=units) if kind == "skewed" else (rng.random(units) < 0.2).astype(float)
        treated = rng.random(units) < 0.5
        cumulated = {
            arm: [np.cumsum(each)[looks - 1] for each in (rows, y * rows, y * y * rows)]
            for arm, rows in ((0, ~treated), (1, treated))
        }
        for look in range(len(looks)):
            arms = [
                Moments(
                    n=int(cumulated[arm][0][look]), y=float(cumulated[arm][1][look]), yy=float(cumulated[arm][2][look])
                )
                for arm in (0, 1)
            ]
            if statistics.always_valid(*arms).p < statistics.ALPHA:
                alarms += 1
                break

    assert alarms / experiments <= 0.05


def test_an_effect_is_found_and_lies_in_the_interval() -> None:
    rng = np.random.default_rng(1)
    control, arm = rng.normal(0, 1, 5_000), rng.normal(0.2, 1, 5_000)

    effect = statistics.always_valid(moments(control), moments(arm))

    assert effect.low < 0.2 < effect.high
    assert effect.low > 0
    assert effect.p < 1e-6
    assert statistics.always_valid(moments(control[:20]), moments(arm)).p == 1.0


def test_the_p_value_and_the_interval_say_the_same() -> None:
    rng = np.random.default_rng(2)
    for shift in np.linspace(0, 0.2, 40):
        effect = statistics.always_valid(moments(rng.normal(0, 1, 900)), moments(rng.normal(shift, 1, 900)))
        assert (effect.p < statistics.ALPHA) == (effect.low > 0 or effect.high < 0)


def test_what_was_known_before_makes_the_interval_narrower() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(5, 2, 6_000)
    y = before + rng.normal(0, 1, 6_000)
    treated = np.arange(6_000) % 2 == 1
    y[treated] += 0.1
    arms = {"a": moments(y[~treated], before[~treated]), "b": moments(y[treated], before[treated])}

    plain = statistics.always_valid(arms["a"], arms["b"])
    adjusted = statistics.adjusted(arms)
    narrower = statistics.always_valid(adjusted["a"], adjusted["b"])

    assert (narrower.high - narrower.low) < 0.5 * (plain.high - plain.low)
    assert narrower.low < 0.1 < narrower.high
    slope = np.polyfit(before, y, 1)[0]
    direct = y - slope * (before - before.mean())
    assert narrower.difference == pytest.approx(direct[treated].mean() - direct[~treated].mean(), abs=1e-3)


def test_a_broken_split_is_noticed_and_a_fair_one_is_not() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(300):
        firsts = np.cumsum(rng.random(3_000) < 1 / 3)
        looks = range(100, 3_001, 100)
        alarms += any(
            statistics.sample_ratio_p([int(firsts[n - 1]), n - int(firsts[n - 1])], [1, 2]) < 0.05 for n in looks
        )

    assert alarms / 300 <= 0.05
    assert statistics.sample_ratio_p([5_000, 5_600], [1, 1]) < statistics.SRM_P
    assert statistics.sample_ratio_p([0, 0], [1, 1]) == 1.0


def test_holm_accounts_for_the_number_of_metrics() -> None:
    found = statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})

    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})


@pytest.mark.parametrize("classes", [8, 20])
def test_classes_with_icc_keep_five_percent_false_alarms(classes: int) -> None:
    rng = np.random.default_rng(5)
    alarms = naive = 0
    for number in range(500):
        sizes = rng.integers(8, 40, classes)
        levels = rng.normal(0, np.sqrt(0.2), classes)
        people = [level + rng.normal(0, np.sqrt(0.8), size) for level, size in zip(levels, sizes, strict=True)]
        means = [(float(each.mean()), 0.0) for each in people]
        half = classes // 2
        alarms += statistics.by_classes(means[:half], means[half:]).p < statistics.ALPHA
        if number < 100:
            naive += (
                cast(Any, stats).ttest_ind(np.concatenate(people[:half]), np.concatenate(people[half:])).pvalue
                < statistics.ALPHA
            )

    assert alarms / 500 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 500)
    assert naive / 100 > 0.2


def test_classes_of_two_arms_are_compared_as_welch_does() -> None:
    rng = np.random.default_rng(6)
    control, arm = rng.normal(0, 1, 7), rng.normal(0.5, 3, 12)

    effect = statistics.by_classes([(y, 0.0) for y in control], [(y, 0.0) for y in arm])

    reference = cast(Any, stats).ttest_ind(arm, control, equal_var=False)
    error = np.sqrt(control.var(ddof=1) / 7 + arm.var(ddof=1) / 12)
    assert effect.difference == pytest.approx(arm.mean() - control.mean())
    assert effect.difference / float(reference.statistic) == pytest.approx(error)
    radius = stats.t.ppf(0.975, effect.degrees) * error
    assert effect.high - effect.difference == pytest.approx(radius)


def test_the_number_of_classes_grows_with_their_likeness() -> None:
    found = [statistics.classes_needed(effect=0.3, deviation=1, people=25, icc=icc) for icc in (0.0, 0.05, 0.2)]

    assert found == [18, 34, 84]
