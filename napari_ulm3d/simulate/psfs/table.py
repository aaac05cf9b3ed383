"""The library as a table, for the documentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.imaging.measured import MeasuredImage
from napari_ulm3d.simulate.psfs.probes import PROBES

__all__ = ["gaussian_correlation", "library_table", "side_lobe_db"]


def library_table(images: dict[str, MeasuredImage]) -> str:
    """Markdown: a row for each probe, with ranges over all places of the library."""
    lines = [
        "| image | pitch | bandwidth (%) | cycles | waves | depths | width z | width y | width x | "
        "phase slope / (4 pi) | largest beyond one width along x (dB) | correlation with a Gaussian |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for probe in PROBES:
        image = images[probe.name]
        places = list(np.ndindex(image.values.shape[:3]))
        lobes = [side_lobe_db(image, place) for place in places]
        fits = [gaussian_correlation(image, place) for place in places]
        widths = [_range(image.fwhm[..., axis], 2) for axis in range(3)]
        if probe.kind == "linear":
            widths[1] = "-"
        cells = [
            f"`{probe.name}`{' (held out)' if probe.held_out else ''}",
            f"{probe.pitch:g}{', unused row after every eight' if probe.idle_after else ''}",
            f"{probe.bandwidth:g}",
            f"{probe.cycles:g}",
            f"{len(probe.waves)}",
            _range(image.depth, 0),
            *widths,
            _range(image.slope[..., 0] / (4 * np.pi), 2),
            _range(np.array(lobes), 0),
            _range(np.array(fits), 2),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def side_lobe_db(image: MeasuredImage, place: tuple[int, ...]) -> float:
    """Largest magnitude more than one width along x from the maximum, in its row, decibels."""
    magnitude = np.abs(image.values[place])
    z, y, x = np.unravel_index(magnitude.argmax(), magnitude.shape)
    row = magnitude[z, y]
    away = np.abs(np.arange(row.size) - x) * image.step[place[0], 2] > image.fwhm[place][2]
    return float(20 * np.log10(row[away].max() / row.max()))


def gaussian_correlation(image: MeasuredImage, place: tuple[int, ...]) -> float:
    """Correlation with a Gaussian of the image's widths and phase slope, out to two widths."""
    values = image.values[place]
    exponent = np.zeros(values.shape)
    near = np.ones(values.shape, bool)
    peak = np.unravel_index(np.abs(values).argmax(), values.shape)
    for axis, n in enumerate(values.shape):
        if n > 1:
            offset = (np.arange(n) - peak[axis]) * image.step[place[0], axis]
            shape = [-1 if k == axis else 1 for k in range(3)]
            relative = (offset / image.fwhm[place][axis]).reshape(shape)
            exponent = exponent + relative**2
            near &= np.abs(relative) <= 2
    model = np.exp(-4 * np.log(2) * exponent)[near]
    seen = values[near]
    return float(np.abs(np.vdot(model, seen)) / (np.linalg.norm(model) * np.linalg.norm(seen)))


def _range(values: NDArray[np.float64], digits: int) -> str:
    low, high = (f"{value:.{digits}f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
