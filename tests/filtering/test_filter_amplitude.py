"""Amplitudes at the limits of single precision change neither bubbles nor maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_ulm3d as ulm
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.filtering import rescale

SETTINGS = ["clutter.svd_range=2,40", "link.min_length_frames=4", "load.frames_per_block=20"]


def movie() -> np.ndarray[Any, Any]:
    """Three bubbles moving through noise, (t, z, y, x) complex64."""
    rng = np.random.default_rng(0)
    shape = (40, 18, 10, 14)
    frames = 0.02 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    z, y, x = np.ogrid[: shape[1], : shape[2], : shape[3]]
    for k in range(shape[0]):
        for depth, side in ((5.0, 4.0), (9.0, 9.0), (13.0, 6.0)):
            r2 = (z - depth - 0.1 * k / 4) ** 2 + (y - 5) ** 2 + (x - side - 0.08 * k / 2) ** 2
            frames[k] += np.exp(-r2 / 3.4) * np.exp(1j * (1.5 * z + 0.5 * k))
    return frames.astype(np.complex64)


MOVIE = movie()


def run(frames: np.ndarray[Any, Any], localizer: str = "gaussian") -> Any:
    acquisition = ulm.Acquisition.from_array(frames, (50.0, 50.0, 50.0), 100.0)
    settings = [*SETTINGS, f"localize.localizer={localizer}"]
    return ulm.run(acquisition, PipelineConfig().with_settings(settings))


@pytest.mark.parametrize("localizer", ["gaussian", "radial", "centroid", "parabolic"])
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_scaled_movies_have_the_same_bubbles(localizer: str, real: bool) -> None:
    frames = np.abs(MOVIE) if real else MOVIE
    plain = run(frames, localizer)
    assert len(plain.localizations) > 40
    for exponent in (-100, -80, -40, 40, 66, 100):  # 8e-31 to 1e30
        scaled = run(frames * np.float32(2.0**exponent), localizer)
        for mine, theirs in (
            (scaled.localizations.table, plain.localizations.table),
            (scaled.tracks.table, plain.tracks.table),
        ):
            if real and localizer == "gaussian":  # one faint bubble depends on the last digits
                assert len(mine) == pytest.approx(len(theirs), rel=0.02), exponent
                continue
            assert len(mine) == len(theirs), exponent
            np.testing.assert_allclose(
                mine.to_numpy(float), theirs.to_numpy(float), rtol=1e-4, atol=0.5
            )
        # The power is in the squared unit of the data, as far as a map can represent it.
        power, reference = scaled.maps["power_doppler"], plain.maps["power_doppler"]
        assert np.isfinite(power.values).all()
        assert power.values.max() > 0
        ratio = power.dense() / reference.dense()
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-24, 1e-12, 1e12, 1e24])
def test_double_precision(factor: float) -> None:
    plain, scaled = run(MOVIE), run(MOVIE.astype(np.complex128) * factor)
    # Not a power of two: the last digits differ, and with them bubbles at a threshold.
    assert len(scaled.localizations) == pytest.approx(len(plain.localizations), rel=0.03)
    assert scaled.report.n_tracks == pytest.approx(plain.report.n_tracks, abs=1)


@pytest.mark.parametrize("factor", [1e-60, 1e60])
def test_values_beyond_single_precision_are_reported(factor: float) -> None:
    with pytest.raises(InputError, match=r"single precision.*Scale"):
        run(MOVIE.astype(np.complex128) * factor)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (np.zeros_like(MOVIE), "only zeros"),
        (np.full(MOVIE.shape, 7, np.float32), "identical frames"),
        (np.repeat(MOVIE[:1], 40, axis=0), "identical frames"),
    ],
)
def test_a_movie_in_which_nothing_moves_is_refused(frames: Any, said: str) -> None:
    with pytest.raises(UlmError, match=said):
        run(frames)


@given(st.integers(-100, 100), st.booleans())
def test_rescaling_is_exact(exponent: int, real: bool) -> None:
    rng = np.random.default_rng(abs(exponent))
    base = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    frames = base if real else (base + 1j * base[::-1]).astype(np.complex64)
    scaled = frames * np.float32(2.0**exponent)
    by = rescale(scaled)
    np.testing.assert_array_equal(np.ldexp(scaled.real, -by - exponent), frames.real)
    assert by % 2 == 0
    assert 2.0**-12 <= np.abs(scaled.view(np.float32)).max() < 2.0**21
