"""Probes whose images of a point are in the library; all lengths are in wavelengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.imaging.must import MatrixProbe

__all__ = ["PROBES", "Probe"]

_ELEMENT_SHARE = 0.9  # width of an element relative to the pitch
_LEAST_DEPTH = 10.0
_SAMPLES_A_WIDTH = 3.0
_WAVELENGTH_UM = 100.0  # PyMUST wants metres; the images do not depend on it


@dataclass(frozen=True)
class Probe:
    """A linear or matrix array with its plane waves.

    Attributes
    ----------
    n
        Elements, along one side of a matrix.
    pitch
        Wavelengths.
    bandwidth, cycles
        Percent of the centre frequency, and length of the excitation.
    waves
        Angles of the compounded plane waves, degrees, as (along x, along y).
    idle_after
        Matrix: an unused row in elevation after every so many rows.
    held_out
        Only for validation: training does not draw this probe.
    nearness
        Depths of the images, in apertures; the first are in the near field.
    """

    name: str
    kind: Literal["linear", "matrix"]
    n: int
    pitch: float
    bandwidth: float
    cycles: float
    waves: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    idle_after: int | None = None
    held_out: bool = False
    nearness: tuple[float, ...] = (0.4, 0.65, 1.0, 1.5, 2.2)

    @property
    def element(self) -> float:
        """Width of an element."""
        return _ELEMENT_SHARE * self.pitch

    @property
    def array(self) -> MatrixProbe:
        """The probe in micrometres, for the simulator; of a linear one, n is along x only."""
        return MatrixProbe(
            n=self.n,
            pitch_um=self.pitch * _WAVELENGTH_UM,
            element_um=self.element * _WAVELENGTH_UM,
            idle_after=self.idle_after or self.n + 1,
            wavelength_um=_WAVELENGTH_UM,
            bandwidth_percent=self.bandwidth,
            cycles=self.cycles,
        )

    @property
    def elements(self) -> NDArray[np.float64]:
        """x and y of the element centres, (2, n or n * n)."""
        if self.kind == "matrix":
            return self.array.element_um_xy / _WAVELENGTH_UM
        x = (np.arange(self.n) - (self.n - 1) / 2) * self.pitch
        return np.stack([x, np.zeros(self.n)])

    @property
    def aperture(self) -> tuple[float, float]:
        """Extent along y and x; 0 along y for a linear probe."""
        x, y = np.ptp(self.elements, axis=1)
        return (float(y) + self.pitch if self.kind == "matrix" else 0.0, float(x) + self.pitch)

    @property
    def depths(self) -> tuple[float, ...]:
        """Depths of the images."""
        longest = max(self.aperture[1], _LEAST_DEPTH / self.nearness[0])
        return tuple(share * longest for share in self.nearness)

    @property
    def sides(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Distances of the images from the axis along y and x; the other side is their mirror."""
        along_y, along_x = self.aperture
        if self.kind == "matrix":
            return (0.0, 0.35 * along_y), (0.0, 0.35 * along_x)
        return (0.0,), (0.0, 0.13 * along_x, 0.27 * along_x, 0.4 * along_x)

    def steps(self, depth: float) -> tuple[float, float, float]:
        """Spacing of the samples along z, y, x: a third of the expected width along y and x."""
        across = []
        for extent in self.aperture:
            # Sine of the largest angle of an echo, limited by the element's directivity (-6 dB). The
            # side lobes of elements beyond 1.4 wavelengths reach further, so they need finer samples.
            sine = min(extent / 2 / np.hypot(extent / 2, depth), max(0.6 / self.element, 0.44))
            across.append(0.6 / sine / _SAMPLES_A_WIDTH if extent else 1.0)
        return (0.25, across[0], across[1])


def _tilts(degrees: float, n: int, both: bool = False) -> tuple[tuple[float, float], ...]:
    """n plane waves evenly from -degrees to degrees along x, or a cross along both axes."""
    along = tuple((float(angle), 0.0) for angle in np.linspace(-degrees, degrees, n))
    return (*along, (0.0, -degrees), (0.0, degrees)) if both else along


PROBES: tuple[Probe, ...] = (
    Probe("matrix-16", "matrix", 16, 1.1, 60, 1),
    Probe("matrix-24", "matrix", 24, 0.6, 70, 2, _tilts(5, 3)),
    Probe("matrix-32", "matrix", 32, 0.5, 80, 1),
    Probe("matrix-32-idle", "matrix", 32, 1.0, 65, 2, idle_after=8),
    # Elements as large as those of the usual arrays at 15 MHz; near them, maxima are split.
    Probe("matrix-24-split", "matrix", 24, 2.5, 67, 2, nearness=(0.25, 0.4, 0.65, 1.0, 1.6)),
    Probe("matrix-22", "matrix", 22, 0.8, 50, 3, _tilts(4, 3, both=True), held_out=True),
    Probe("matrix-28", "matrix", 28, 1.4, 75, 1, held_out=True),
    Probe("linear-64", "linear", 64, 0.5, 60, 1),
    Probe("linear-96", "linear", 96, 0.8, 75, 2, _tilts(6, 3)),
    Probe("linear-128", "linear", 128, 1.1, 50, 3, _tilts(8, 5)),
    Probe("linear-128-fine", "linear", 128, 0.6, 80, 1),
    Probe("linear-88", "linear", 88, 1.5, 65, 2, held_out=True),
    Probe("linear-112", "linear", 112, 0.7, 55, 1, _tilts(5, 3), held_out=True),
)
