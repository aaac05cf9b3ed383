"""The saturation curve carried on, against acquisitions that went on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit

from napari_ulm3d.maps import forecast_saturation


def filling(rng, rates, duration_s, together=12, n_points=100):
    """A curve of voxels reached by tracks, each of which reaches `together` voxels that follow.

    `rates` (voxels,) a second; a group of voxels shares its rate and its tracks.
    """
    of_group = rates[::together]
    first = rng.exponential(1 / of_group)
    arrival = np.repeat(first, together)[: len(rates)]
    time_s = np.linspace(0, duration_s, n_points)
    reached = np.searchsorted(np.sort(arrival), time_s, side="right")
    return pd.DataFrame({"time_s": time_s, "voxels_reached": reached}), arrival


def lognormal_rates(rng, n, spread):
    """Not the distribution that is fitted."""
    groups = np.exp(rng.normal(0, spread, n // 12 + 1)) / 10
    return np.repeat(groups, 12)[:n]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "duration_s"), [(0.0, 12.0), (0.0, 25.0), (0.7, 12.0), (0.7, 40.0)]
)
def test_the_forecast_holds_what_the_longer_acquisition_reaches(spread, duration_s):
    rng = np.random.default_rng(1)
    held, of_final, told = [], [], 0
    for _ in range(40):
        rates = lognormal_rates(rng, 20_000, spread)
        curve, arrival = filling(rng, rates, duration_s)
        found = forecast_saturation(curve)
        truth = (arrival <= 2 * duration_s).sum() / found.reached
        held.append(found.doubled.low <= truth <= found.doubled.high)
        if found.final is not None:
            told += 1
            of_final.append(found.final.low <= len(rates) <= found.final.high)
    # Rates that differ are not of the distribution that is fitted: a few per cent less.
    assert np.mean(held) >= (0.7 if spread else 0.8)
    if told:
        assert np.mean(of_final) >= (0.7 if spread else 0.8)
    if duration_s > 20:
        assert told > 25, told


def test_equal_rates_give_the_exponential():
    """Against scipy's least squares on the published model."""
    rng = np.random.default_rng(2)
    curve, _ = filling(rng, np.full(200_000, 0.1), 30.0)
    found = forecast_saturation(curve)
    (final, tau), _ = curve_fit(
        lambda t, v, tau: v * (1 - np.exp(-t / tau)),
        curve["time_s"],
        curve["voxels_reached"],
        (1e5, 5),
    )
    assert found.final.value == pytest.approx(final, rel=0.03)
    assert found.share.low < 1 - np.exp(-30.0 / tau) < found.share.high
    assert found.time_s[0.9].low < tau * np.log(10) < found.time_s[0.9].high
    table = found.curve
    assert table["time_s"].iloc[0] == pytest.approx(30)
    assert table["time_s"].iloc[-1] == 120
    assert table["voxels"].iloc[0] == pytest.approx(found.reached)
    assert (np.diff(table["voxels"]) >= 0).all()
    assert (table["low"] <= table["voxels"]).all()
    assert (table["voxels"] <= table["high"]).all()


def test_a_straight_curve_is_refused_its_end():
    rng = np.random.default_rng(3)
    curve, _ = filling(rng, np.full(50_000, 0.1), 0.5)
    found = forecast_saturation(curve)
    assert found.final is None
    assert found.share is None
    assert not found.time_s
    assert "does not bend" in found.reason
    assert "Acquire for longer" in found.reason
    assert found.doubled.low < 2.0
    assert found.doubled.high > 1.85
    assert dict(found.rows())["forecast"] == found.reason


@pytest.mark.parametrize(
    "reached", [[], [0], [0, 0, 0], list(range(100)), [0, 40_000] + [40_000] * 98]
)
def test_hardly_anything_is_no_ground_for_a_forecast(reached):
    curve = pd.DataFrame({"time_s": np.linspace(0, 1, len(reached)), "voxels_reached": reached})
    found = forecast_saturation(curve)
    if len(reached) == 100 and reached[-1] == 99:
        assert found.final is None  # a straight line of single voxels
    else:
        assert found.doubled is None
        assert "Too few" in found.reason
        assert found.curve.empty


def test_a_clump_widens_the_interval():
    """The same voxels in fewer tracks: the scatter says so."""
    widths = []
    for together in (1, 40):
        curve, _ = filling(np.random.default_rng(4), np.full(20_000, 0.1), 20.0, together)
        share = forecast_saturation(curve).share
        widths.append(share.high - share.low if share else np.inf)
    assert widths[1] > 2 * widths[0]
