"""The statistics of a study against SciPy, against definitions, and against what was planted."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.studies import StudyConfig, compare
from napari_ulm3d.studies.config import MEASURES
from napari_ulm3d.studies.statistics.correction import corrected
from napari_ulm3d.studies.statistics.effects import detectable, independent, paired


def plan(n: int = 5, times: tuple[str, ...] = ("",), **settings: object) -> StudyConfig:
    scans = [
        {"animal": f"{group}{k}", "group": group, "time": time, "results": "r"}
        for group in ("sham", "drug")
        for k in range(n)
        for time in times
    ]
    return StudyConfig.from_dict({"scan": scans, "control": "sham"} | settings)


def drawn(
    config: StudyConfig, rng: np.random.Generator, spread: float = 0.06, **factors: float
) -> pd.DataFrame:
    """Measures about 1 that go together in an animal; of `drug` times what is planted."""
    own: dict[str, float] = {}
    rows = []
    for scan in config.scan:
        common = own.setdefault(scan.animal, rng.normal())
        row: dict[str, object] = {
            "animal": scan.animal, "group": scan.group, "time": scan.time, "region": "whole",
        }  # fmt: skip
        for measure in MEASURES:
            factor = factors.get(measure, 1.0) if scan.group == "drug" else 1.0
            row[measure] = factor * (1 + spread * (0.6 * common + 0.8 * rng.normal()))
        rows.append(row)
    return pd.DataFrame(rows)


def test_two_groups_as_scipy_has_it() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(10, 1, 5), rng.normal(12, 3, 7)
    found = independent(a, b)
    theirs = stats.ttest_ind(b, a, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    # Hedges (1981): the usual approximation of the correction is within 0.1 % of the exact one.
    pooled = np.sqrt((4 * a.var(ddof=1) + 6 * b.var(ddof=1)) / 10)
    d = (b.mean() - a.mean()) / pooled
    assert found.g == pytest.approx(d * (1 - 3 / (4 * 10 - 1)), rel=2e-3)
    size = np.sqrt(1 / 5 + 1 / 7)
    for bound, share in ((found.g_low, 0.975), (found.g_high, 0.025)):
        centre = bound / (found.g / d) / size
        assert stats.nct.cdf(d / size, 10, centre) == pytest.approx(share, abs=1e-3)


def test_pairs_as_scipy_has_them() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(10, 3, 6)
    after = before + rng.normal(1, 0.5, 6)
    found = paired(before, after)
    theirs = stats.ttest_rel(after, before)
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.p < independent(before, after).p
    signs = paired(before, after, test="permutation")
    assert signs.p == pytest.approx(2 / 2**6)


def test_a_permutation_test_counts_labellings() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.5, 7.0, 9.0])
    assert independent(a, b, test="permutation").p == pytest.approx(2 / 70)


def test_what_can_be_found_is_as_simulated() -> None:
    d = detectable(5, 5, 0.05)
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 4000, 5))
    p = stats.ttest_ind(a, b + d, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.03)
    assert detectable(50, 50, 0.05) < detectable(5, 5, 0.05) < detectable(5, 5, 0.01)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    """Corrected: the largest, over all families that hold it, of their Bonferroni p-value."""
    n = len(p)
    for k, value in enumerate(corrected(p)):
        worst = max(
            min(1.0, len(family) * min(p[j] for j in family))
            for size in range(1, n + 1)
            for family in combinations(range(n), size)
            if k in family
        )
        assert value == pytest.approx(worst)


def test_what_was_not_tested_does_not_count() -> None:
    held = corrected([0.01, np.nan, 0.04])
    assert held == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    false_rate = corrected([0.01, np.nan, 0.04], "benjamini-hochberg")
    assert false_rate == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


@pytest.mark.slow
def test_of_a_hundred_studies_without_a_difference_few_claim_one() -> None:
    """At most 5 % are expected to; more than 9 would happen once in 35 times."""
    rng = np.random.default_rng(3)
    config = plan()
    claims = [
        bool((compare(drawn(config, rng), config)["p_corrected"] < 0.05).any()) for _ in range(100)
    ]
    assert sum(claims) <= 9


def test_a_planted_difference_is_found_and_none_where_there_is_none() -> None:
    config = plan()
    values = drawn(config, np.random.default_rng(3), diameter_um=1.2)
    table = compare(values, config).set_index("measure")
    row = table.loc["diameter_um"]
    assert row["p_corrected"] < 0.05
    assert row["percent_low"] < 20 < row["percent_high"]
    assert "drug is" in row["says"]
    assert "higher" in row["says"]
    others = table.drop("diameter_um")
    assert others["says"].str.startswith("No difference is shown").all()
    assert others["says"].str.contains("would be found in 4 of 5 such studies").all()


def test_single_tests_hold_their_level() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(10, 1, (500, 5)), rng.normal(10, 1, (500, 5))
    rate = np.mean([independent(x, y).p < 0.05 for x, y in zip(a[:200], b[:200], strict=True)])
    assert stats.binomtest(int(200 * rate), 200, 0.05).pvalue > 0.01


def test_time_points_are_paired_and_groups_compared_by_their_change() -> None:
    rng = np.random.default_rng(5)
    config = plan(6, ("before", "after"))
    values = drawn(config, rng, spread=0.3)
    treated = (values["group"] == "drug") & (values["time"] == "after")
    # All of the spread lies between animals; the drug adds a tenth.
    before = values[values["time"] == "before"].set_index("animal")["diameter_um"]
    same = values["animal"].map(before) * (1 + 0.01 * rng.normal(size=len(values)))
    values["diameter_um"] = same * np.where(treated, 1.1, 1.0)
    found = compare(values, config)
    of = found[found["measure"] == "diameter_um"].set_index(["kind", "b", "time"])
    assert of.loc[("change", "drug", "after"), "p_corrected"] < 0.05
    assert of.loc[("change", "sham", "after"), "p_corrected"] > 0.05
    assert of.loc[("change between groups", "drug", "after"), "p_corrected"] < 0.05
    assert of.loc[("groups", "drug", "after"), "p_corrected"] > 0.05
    assert of.loc[("change", "drug", "after"), "percent"] == pytest.approx(10, abs=2)


def test_an_animal_counts_once() -> None:
    """Ten scans of three animals are three animals; a missing value takes out its animal alone."""
    rng = np.random.default_rng(6)
    config = plan(3)
    values = drawn(config, rng)
    again = pd.concat([values] * 4, ignore_index=True)
    once, often = compare(values, config), compare(again, config)
    assert often["n_a"].max() == 3
    assert often["p"].to_numpy() == pytest.approx(once["p"].to_numpy())
    values.loc[0, "speed_mm_s"] = np.nan
    found = compare(values, config).set_index("measure")
    assert found.loc["speed_mm_s", "n_a"] == 2
    assert np.isnan(found.loc["speed_mm_s", "p"])
    assert "too few to say anything" in found.loc["speed_mm_s", "says"]
    assert found.loc["diameter_um", "n_a"] == 3


def test_regions_and_other_measures_are_a_family_of_their_own() -> None:
    rng = np.random.default_rng(7)
    config = plan(5, primary=["diameter_um"])
    values = drawn(config, rng, diameter_um=1.1)
    both = pd.concat([values, values.assign(region="cortex")], ignore_index=True)
    found = compare(both, config)
    main = found[found["family"] == "primary"]
    assert main[["measure", "region"]].to_numpy().tolist() == [["diameter_um", "whole"]]
    assert main["p_corrected"].to_numpy() == pytest.approx(main["p"].to_numpy())
    others = found[found["family"] == "exploratory"]
    assert others["p_corrected"].to_numpy() == pytest.approx(corrected(others["p"]))


def test_few_animals_cannot_be_significant_by_permutation() -> None:
    config = plan(3, test="permutation")
    found = compare(drawn(config, np.random.default_rng(8), diameter_um=3.0), config)
    row = found.set_index("measure").loc["diameter_um"]
    assert row["p"] == pytest.approx(0.1)
    assert "cannot give a p-value below 0.1" in row["says"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"control": "placebo"}, "control placebo is not one of the groups sham, drug"),
        ({"region": [{"name": "a"}]}, "either box_um or label"),
        ({"region": [{"name": "a", "label": 1}]}, "no scan names a volume"),
        ({"scan": [{"animal": "m", "group": "g"}]}, "either results or files"),
        ({"times": ["day 1"]}, "scans name the time '', which is not among times"),
        (
            {"scan": [{"animal": "m", "group": g, "results": "r"} for g in "ab"]},
            "animal m is in the groups a and b",
        ),
    ],
)
def test_a_plan_at_fault_says_so(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan().replace(**change)
