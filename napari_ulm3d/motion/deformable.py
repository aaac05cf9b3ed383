"""Smooth deformation of the tissue, estimated after the rigid motion was taken out.

Frames of a few milliseconds are averaged and warped by the current estimate. A correction of the control
points then follows from the difference to a reference image and from its gradient (Gauss-Newton
on the squared difference; Baker & Matthews, Int. J. Comput. Vis. 56, 221 (2004)), with a Gaussian prior on
the control points: a field that is nearly affine is more likely. The reference is the mean
of the warped images, so nothing is ever registered to a single frame.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.motion.deformation import (
    Deformation,
    Deformed,
    control_points,
    spline_knots,
    spline_weights,
)
from napari_ulm3d.motion.smoothing import smoothed
from napari_ulm3d.motion.window import edge_window

__all__ = ["deformation_between", "estimate_deformation"]

_WINDOW_S = 0.016
"""Frames closer in time than this are averaged: tissue deforms with breath and heart, not faster."""
_SMOOTHING_S = 0.03
"""Least standard deviation of the weights for smoothing over time."""
_ROUNDS = 2
"""Rounds of estimates for all images, with a new reference after each."""
_SOME = 4
"""Number of images in which the noise is measured."""
_BETWEEN = 4
"""Corrections for the deformation between the images of two blocks."""
_AFFINE, _BENT = 0.5, 0.15
"""Prior standard deviation of the control points, voxels: of their affine part, and of the rest."""


def estimate_deformation(
    frames: NDArray[Any],
    displacement_um: NDArray[np.float64],
    broken: NDArray[np.bool_],
    image: NDArray[np.float32],
    spacing_um: tuple[float, float, float],
    rate_hz: float,
    smoothing_s: float,
) -> Deformed:
    """Estimate the deformation in a block relative to its mean image.

    Parameters
    ----------
    frames
        (t, z, y, x) as read; complex64, or float32 for an envelope.
    displacement_um, broken
        (t, 3) rigid motion, and (t,) frames that are ignored.
    image
        (z, y, x) mean of the rigidly corrected envelopes, at any scale.
    spacing_um, rate_hz
        Voxel spacing and frame rate.
    smoothing_s
        As `MotionConfig.smoothing_s`; 0: no smoothing.
    """
    step = max(1, round(_WINDOW_S * rate_hz))
    starts = np.arange(0, len(frames), step)
    spacing = np.asarray(spacing_um)
    rigid = np.array([displacement_um[s : s + step].mean(axis=0) for s in starts]) / spacing
    out = np.array([broken[s : s + step].mean() > 0.5 for s in starts])
    warps = [_Warp(np.abs(frames[s : s + step]).mean(axis=0, dtype=np.float32)) for s in starts]
    points = control_points(image.shape)
    control = np.zeros((len(starts), *points, 3))
    fit = _Fit(image)
    similar = np.zeros((_ROUNDS, len(starts)))
    for k in range(_ROUNDS):
        total = np.zeros(image.shape)
        for one, warp in enumerate(warps):
            seen = fit.scaled(warp.moved_back(rigid[one], control[one]))
            similar[k, one] = fit.correlation(seen)
            control[one] = fit.corrected(seen, control[one])
            total += 0.0 if out[one] else seen
        if not out.all():
            # A constant part would move the reference from round to round.
            control -= control[~out].mean(axis=0)
        if k + 1 < _ROUNDS:
            fit = _Fit(total.astype(np.float32), fit.noise(warps, rigid, control, out))
    sigma = max(smoothing_s, _SMOOTHING_S) * rate_hz / step if smoothing_s else 0.0
    flat, _ = smoothed(control.reshape(len(starts), -1), out, sigma)
    middle = starts + (np.minimum(starts + step, len(frames)) - starts - 1) / 2
    every = np.arange(len(frames))
    smooth = np.column_stack([np.interp(every, middle, column) for column in flat.T])
    field = smooth.reshape(len(frames), *points, 3) * spacing
    left = (control.reshape(len(starts), -1) - flat)[~out].reshape(-1, *points, 3) * spacing
    noise = Deformation(image.shape, left.astype(np.float32)).rms_um()
    return Deformed(
        Deformation(image.shape, field.astype(np.float32)),
        total.astype(np.float32),
        float(similar[0, ~out].mean()) if not out.all() else 0.0,
        float(similar[-1, ~out].mean()) if not out.all() else 0.0,
        float(np.sqrt(np.mean(noise**2) / 3)) if noise.size else float("nan"),
    )


def deformation_between(
    reference: NDArray[np.float32],
    image: NDArray[np.float32],
    offset_um: NDArray[np.float64],
    spacing_um: tuple[float, float, float],
) -> NDArray[np.float64]:
    """Control points (a, b, c, 3) um of an image's deformation from a reference, after the offset."""
    fit, warp = _Fit(reference), _Warp(image)
    control = np.zeros((*control_points(reference.shape), 3))
    shift = offset_um / np.asarray(spacing_um)
    for _ in range(_BETWEEN):
        control = fit.corrected(fit.scaled(warp.moved_back(shift, control)), control)
    return np.asarray(control * np.asarray(spacing_um))


class _Warp:
    """An image with the spline coefficients from which it is interpolated."""

    def __init__(self, image: NDArray[np.float32]) -> None:
        from scipy.ndimage import spline_filter

        self._coefficients = spline_filter(image, order=3, output=np.float32, mode="nearest")

    def moved_back(
        self, shift: NDArray[np.float64], control: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The image without a shift (3,) and a deformation, voxels."""
        from scipy.ndimage import map_coordinates

        shape = self._coefficients.shape
        z, y, x = _bases(shape)
        field = np.einsum("za,yb,xc,abck->kzyx", z, y, x, control, optimize=True)
        at = field.astype(np.float32)
        for axis, n in enumerate(shape):
            if n == 1:
                at[axis] = 0
                continue
            along = np.arange(n, dtype=np.float32) + np.float32(shift[axis])
            at[axis] += along.reshape([-1 if k == axis else 1 for k in range(3)])
        return np.asarray(
            map_coordinates(
                self._coefficients, at, np.float32, order=3, mode="nearest", prefilter=False
            )
        )


class _Fit:
    """The normal equations of a reference image."""

    def __init__(self, image: NDArray[np.float32], noise: float | None = None) -> None:
        self.image = image
        self._weight = edge_window(image.shape) ** 2
        self._bases = _bases(image.shape)
        self._axes = [axis for axis, n in enumerate(image.shape) if n > 1]
        self._points = tuple(basis.shape[1] for basis in self._bases)
        self._gradients = {a: np.gradient(image, axis=a) for a in self._axes}
        self._energy = float((self._weight * self._mean_free(image) ** 2).sum())
        # Neighbouring voxels of an ultrasound image are alike: two along each axis count once.
        power = self._power(image) * 0.01 if noise is None else noise
        self._least = max(power, 1e-12 * self._power(image)) * 2 ** len(self._axes)
        self._normal = self._normal_matrix()
        self._prior = self._prior_matrix()
        self._inverse = np.linalg.pinv(self._normal / self._least + self._prior)

    def _power(self, image: NDArray[np.float32]) -> float:
        return float((self._weight * image**2).sum() / self._weight.sum())

    def _mean_free(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return image - np.float32((self._weight * image).sum() / self._weight.sum())

    def scaled(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image at the scale of the reference."""
        own = float((self._weight * seen**2).sum())
        other = float((self._weight * self.image * seen).sum())
        return seen * np.float32(other / own if own > 0 else 0.0)

    def correlation(self, seen: NDArray[np.float32]) -> float:
        """Correlation of an image with the reference, -1 to 1."""
        free = self._mean_free(seen)
        product = float((self._weight * free * self._mean_free(self.image)).sum())
        energy = np.sqrt(self._energy * float((self._weight * free**2).sum()))
        return product / energy if energy > 0 else 0.0

    def noise(
        self,
        warps: list[_Warp],
        rigid: NDArray[np.float64],
        control: NDArray[np.float64],
        out: NDArray[np.bool_],
    ) -> float:
        """Power of the difference between image and reference, the median of a few images."""
        some = np.flatnonzero(~out)[:: max(1, int((~out).sum()) // _SOME)]
        powers = [
            self._power(self.scaled(warps[k].moved_back(rigid[k], control[k])) - self.image)
            for k in some
        ]
        return float(np.median(powers)) if powers else 0.0

    def corrected(
        self, seen: NDArray[np.float32], control: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Control points after one Gauss-Newton step, from an image warped by the present ones."""
        z, y, x = self._bases
        missing = self._weight * (self.image - seen)
        projected = [
            np.einsum("zyx,za,yb,xc->abc", missing * self._gradients[a], z, y, x, optimize=True)
            for a in self._axes
        ]
        present = np.stack([control[..., a].ravel() for a in self._axes]).ravel()
        right = np.stack(projected).ravel() / self._least - self._prior @ present
        new = (present + self._inverse @ right).reshape(len(self._axes), *self._points)
        out = np.zeros_like(control)
        for k, axis in enumerate(self._axes):
            out[..., axis] = new[k]
        return out

    def _normal_matrix(self) -> NDArray[np.float64]:
        pairs = [np.einsum("na,nb->nab", b, b).reshape(len(b), -1) for b in self._bases]
        m = self._points
        n = int(np.prod(m))
        blocks = []
        for a in self._axes:
            row = []
            for b in self._axes:
                product = self._weight * self._gradients[a] * self._gradients[b]
                sums = np.einsum("zyx,zi,yj,xk->ijk", product, *pairs, optimize=True)
                sums = sums.reshape(m[0], m[0], m[1], m[1], m[2], m[2])
                row.append(sums.transpose(0, 2, 4, 1, 3, 5).reshape(n, n))
            blocks.append(row)
        return np.block(blocks)

    def _prior_matrix(self) -> NDArray[np.float64]:
        """Inverse covariance of the control points: affine fields are more likely than others."""
        # A clamped B-spline is linear if its control points are, at the Greville abscissae.
        at = np.meshgrid(*[_greville(m) for m in self._points], indexing="ij")
        linear = np.stack([np.ones(at[0].size), *[a.ravel() for a in at if np.ptp(a) > 0]], axis=1)
        basis = np.linalg.qr(linear)[0]
        affine = basis @ basis.T
        one = affine / _AFFINE**2 + (np.eye(len(affine)) - affine) / _BENT**2
        return np.kron(np.eye(len(self._axes)), one)


@lru_cache(maxsize=4)
def _bases(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    z, y, x = shape
    points = control_points((z, y, x))
    return [
        spline_weights(np.arange(n, dtype=float), n, m) for n, m in zip(shape, points, strict=True)
    ]


def _greville(n_points: int) -> NDArray[np.float64]:
    """Abscissae of one voxel at which the control points of a linear function lie on it."""
    knots, degree = spline_knots(1, n_points)
    if degree == 0:
        return np.zeros(1)
    return np.array([np.mean(knots[k + 1 : k + 1 + degree]) for k in range(n_points)])
