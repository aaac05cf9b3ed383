"""Measured images of bubbles against PyMUST, their own library, and scipy's widths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks, peak_widths

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate import RandomizationConfig, SimulationConfig, preset, randomize, simulate
from napari_ulm3d.simulate.config import GridConfig, PsfModelConfig
from napari_ulm3d.simulate.imaging.measured import LIBRARY, image_names, measured_image
from napari_ulm3d.simulate.imaging.psf import ImagePsf
from napari_ulm3d.simulate.psfs.probes import PROBES, Probe

NAMES = (*image_names("linear"), *image_names("matrix"))


def test_the_library_is_small_and_normalized() -> None:
    assert LIBRARY.stat().st_size < 3e6
    assert {probe.name for probe in PROBES} == set(NAMES)
    for kind in ("linear", "matrix"):
        assert len(image_names(kind, held_out=True)) == 2
        assert len(image_names(kind, held_out=False)) >= 4
    for name in NAMES:
        image = measured_image(name)
        magnitude = np.abs(image.values)
        assert np.isfinite(magnitude).all()
        # The maximum between the samples is 1.
        tops = magnitude.max(axis=(3, 4, 5))
        assert tops.max() < 1.3
        assert tops.min() > 0.8
        assert magnitude[..., [0, -1]].max() < 0.1  # ends without a step


def test_near_large_elements_a_maximum_is_split() -> None:
    line = np.abs(measured_image("matrix-24-split").values[1, 0, 0, :, 15, 15])
    peaks = find_peaks(line, height=0.5)[0]
    assert len(peaks) == 2
    assert line[slice(*peaks)].min() < 0.85 * line[peaks].min()


def reference(probe: Probe, point: tuple[float, float, float], z, y, x) -> np.ndarray:
    """The same image by PyMUST alone, in wavelengths of 100 um."""
    pymust = pytest.importorskip("pymust", reason="PyMUST is not installed (extra 'simulate')")
    wave = 1e-4
    param = pymust.utils.Param()
    param.c, param.fc, param.fs = 1540.0, 1540.0 / wave, 4 * 1540.0 / wave
    param.bandwidth, param.TXnow = probe.bandwidth, probe.cycles
    param.width = probe.element * wave
    at = [np.array([p * wave]) for p in (point[2], point[1], point[0])]
    if probe.kind == "matrix":
        param.height, param.elements = param.width, probe.elements * wave
    else:
        param.pitch, param.Nelements, param.radius = probe.pitch * wave, probe.n, np.inf
    total = 0
    for tilt, _ in np.deg2rad(probe.waves):
        delays = probe.elements[0] * wave * np.sin(tilt) / param.c
        delays = (delays - delays.min())[None]
        places = [(axis + p) * wave for axis, p in zip((x, y, z), point[::-1], strict=True)]
        if probe.kind == "matrix":
            rf = pymust.simus3(*at, np.ones(1), delays, param)[0]
            signals = pymust.rf2iq(rf, param)
            matrix = pymust.dasmtx3(1j * np.array(signals.shape), *places, delays, param)
        else:
            rf = pymust.simus(at[0], at[2], np.ones(1), delays, param)[0]
            signals = pymust.rf2iq(rf, param)
            matrix = pymust.dasmtx(
                1j * np.array(signals.shape), places[0], places[2], delays, param
            )
        matrix = matrix[0] if isinstance(matrix, tuple) else matrix
        total = total + matrix @ signals.ravel(order="F")
    return np.asarray(total)


@pytest.mark.parametrize("name", ["matrix-16", "linear-96"])
def test_the_library_agrees_with_pymust(name: str) -> None:
    probe = next(probe for probe in PROBES if probe.name == name)
    image = measured_image(name)
    depth, side_x = 2, len(image.side_x) - 1
    point = (image.depth[depth], 0.0, image.side_x[side_x])
    stored = image.values[depth, 0, side_x]
    inside = [slice(4, -4) if n > 1 else slice(None) for n in stored.shape]
    index = np.indices(stored.shape)[:, *inside].reshape(3, -1).T
    offset = (index - (np.array(stored.shape) - 1) / 2) * image.step[depth]
    rows = np.random.default_rng(2).choice(len(offset), min(400, len(offset)), replace=False)
    offset = offset[rows]
    expected = reference(probe, point, *offset.T)
    got = stored[*inside].ravel()[rows] * np.exp(1j * offset @ image.slope[depth, 0, side_x])
    scale = np.vdot(got, expected) / np.vdot(got, got)
    # -60 dB steps in the file; PyMUST's dasmtx refines the wave front of a linear probe.
    assert np.linalg.norm(expected - scale * got) < 0.03 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["matrix-24", "linear-128"])
def test_a_bubble_at_a_place_of_the_library_has_its_image(name: str) -> None:
    image = measured_image(name)
    middle = len(image.depth) // 2
    stored = image.values[middle, 0, 0]
    shape = tuple(n + 2 if n > 1 else 1 for n in stored.shape)  # the bubble is at the middle
    frame = np.zeros(shape, np.complex64)
    index = (np.array([shape]) - 1) / 2
    image.add_to(frame, index, np.array([2.0]), image.step[middle])
    offset = [np.arange(n) - (n - 1) / 2 for n in shape]
    phase = [np.exp(1j * o * s * k) for o, s, k in
             zip(offset, image.step[middle], image.slope[middle, 0, 0], strict=True)]  # fmt: skip
    expected = np.zeros(shape, complex)
    expected[tuple(slice(1, -1) if n > 1 else slice(None) for n in shape)] = stored
    expected *= phase[0][:, None, None] * phase[1][:, None] * phase[2]
    np.testing.assert_allclose(frame, 2 * expected, atol=2e-4)


@pytest.mark.parametrize("name", ["matrix-32", "linear-88"])
def test_a_moving_bubble_never_jumps(name: str) -> None:
    image = measured_image(name)
    shape = (24, 20, 20) if image.kind == "matrix" else (24, 1, 24)
    voxel = np.array([0.4, 0.7, 0.7])
    from_to = np.array([[2.0, 3.0, 4.0], [20.0, 16.0, 15.0]])
    if image.kind == "linear":
        from_to[:, 1] = 0.0

    def largest_change(steps: int) -> float:
        largest, before = 0.0, None
        for share in np.linspace(0, 1, steps):
            frame = np.zeros(shape, np.complex64)
            image.add_to(
                frame, from_to[:1] + share * (from_to[1:] - from_to[:1]), np.ones(1), voxel
            )
            if before is not None:
                largest = max(largest, float(np.abs(frame - before).max()))
            before = frame
        return largest

    # Half the steps' length, half the change: no jump between voxels, images or halves.
    assert largest_change(601) == pytest.approx(largest_change(301) / 2, rel=0.1)


def test_the_widths_are_those_of_the_image() -> None:
    for name, y in (("matrix-32-idle", 150.0), ("linear-64", 400.0)):
        shape = (121, 1, 121) if name.startswith("linear") else (121, 61, 121)
        grid = Grid(shape, (6.0, y / 4 if shape[1] > 1 else y, 10.0), (0.0, 0.0, 0.0))
        psf = ImagePsf(PsfModelConfig(image=name, fwhm_um=(1.0, 400.0, 1.0)), grid, 100.0)
        image = psf.measured
        assert image is not None
        middle = len(image.depth) // 2
        frame = np.zeros(shape, np.complex64)
        index = (np.array([shape]) - 1) / 2
        image.add_to(frame, index, np.ones(1), np.array(grid.spacing_um) / 100)
        magnitude = np.abs(frame).astype(float)
        peak = np.unravel_index(magnitude.argmax(), shape)
        for axis, spacing in ((0, 6.0), (2, 10.0)):
            line = magnitude[tuple(slice(None) if k == axis else p for k, p in enumerate(peak))]
            # Its height is measured from zero, not from the deepest valley beside the maximum.
            base = (line[peak[axis] : peak[axis] + 1], np.array([0]), np.array([line.size - 1]))
            width = peak_widths(line, [peak[axis]], 0.5, prominence_data=base)[0][0] * spacing
            assert image.fwhm[middle, 0, 0, axis] * 100 == pytest.approx(width, rel=0.03)
        centre_um = grid.spacing_um[0] * 60
        expected = image.fwhm[middle].mean(axis=(0, 1)) * 100
        got = psf.fwhm_um(centre_um)[0]
        np.testing.assert_allclose(got[[0, 2]], expected[[0, 2]], rtol=1e-6)
        if shape[1] == 1:
            assert got[1] == 400.0


def test_bubbles_beside_a_plane_are_fainter() -> None:
    grid = Grid((20, 1, 20), (50.0, 400.0, 50.0), (0.0, 0.0, 0.0))
    psf = ImagePsf(PsfModelConfig(image="linear-64", fwhm_um=(1.0, 400.0, 1.0)), grid, 100.0)
    np.testing.assert_allclose(psf.beyond_plane(np.array([0.0, 0.5])), [1.0, 0.5])


def test_a_wrong_image_is_one_clear_sentence() -> None:
    scene = preset("mouse-brain-15MHz").replace(n_frames=2)
    with pytest.raises(ConfigError, match="linear probe, but the grid is a volume"):
        _ = simulate(scene.replace(psf=PsfModelConfig(image="linear-64"))).renderer
    with pytest.raises(ConfigError, match="no measured image 'gauss'"):
        _ = simulate(scene.replace(psf=PsfModelConfig(image="gauss"))).renderer


def test_the_settings_survive_a_file() -> None:
    scene = SimulationConfig(psf=PsfModelConfig(image="matrix-16"))
    assert SimulationConfig.from_dict(scene.to_dict()) == scene
    assert SimulationConfig.from_dict(SimulationConfig().to_dict()).psf.image is None


def test_a_share_of_random_scenes_has_measured_images() -> None:
    some = RandomizationConfig(image_share=0.5)
    drawn = 0
    for seed in range(40):
        plain, other = randomize(seed), randomize(seed, some)
        drawn += other.psf.image is not None
        # Nothing else depends on the share.
        psf = other.psf.replace(image=None)
        grid = other.grid.replace(voxel_um=plain.grid.voxel_um)
        noise = other.noise.replace(grain_um=plain.noise.grain_um)
        assert other.replace(psf=psf, grid=grid, noise=noise) == plain
        if other.psf.image is None:
            assert other == plain
            continue
        image = measured_image(other.psf.image)
        assert image.kind == "matrix"
        assert not image.held_out
        widths = image.fwhm.mean(axis=(0, 1, 2))[[0, 2]] * other.wavelength_um
        voxels = widths / np.array(other.grid.voxel_um)[[0, 2]]
        assert np.all((voxels > 1.29) & (voxels < 4.01))
        relative = [s.noise.grain_um / w for s, w in ((plain, psf.fwhm_um[2]), (other, widths[1]))]
        assert relative[0] == pytest.approx(relative[1])
    assert 10 < drawn < 30
    base = SimulationConfig(grid=GridConfig(shape=(40, 1, 40), voxel_um=(50.0, 400.0, 50.0)))
    plane = randomize(1, RandomizationConfig(base=base, image_share=1.0))
    assert plane.psf.image in image_names("linear", held_out=False)
    assert plane.grid.voxel_um[1] == 400.0
