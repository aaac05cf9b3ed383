"""The joint fit of all bubbles of a block to its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.synthesis import kernels
from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.clutter import Removal
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.synthesis.smoothing import expected

__all__ = ["JointFit"]

_WINDOW = 1.4
"""Half width of an image's window, in full widths at half maximum."""
_MARGIN = 2
_MEASURED_WITH = 160.0
"""Minimum energy of bubbles used to measure the image (22 dB)."""
_ALONE_WIDTHS = 1.5
_AT_ONCE = 2
"""Sweeps of a frame while it is in the cache, between two updates of the part that the clutter filter removed."""
_NOISE_EVERY = 4
"""Sweeps between two measurements of the residual's power."""
_FEWEST, _MOST = 30, 4000
_GRAINS = 600
"""Number of windows in which the correlation of the residual is measured."""


class JointFit:
    """Frames of a block, the image of a bubble, and the residual after subtracting all bubbles.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64, filtered. Not modified.
    image
        The image of a bubble.
    noise_rms
        Noise level: a lower limit for the residual around a bubble.
    jerk
        (3,) standard deviation of the second difference of a track, voxels.
    limit
        Maximum displacement of a bubble in one fit along each axis, voxels.
    removed
        (t, n) orthonormal temporal vectors D that the clutter filter removed; None: no filter.

    Notes
    -----
    A filtered frame holds the images s of its bubbles and, of those in other frames, -D D^H s. This
    is added to the frames as computed from the current bubbles, which are then fitted as if there was
    no filter, and so on. Since D D^H is a projection, each turn lowers the squared residual of the
    filtered model (a majorization; Hunter & Lange, Am. Stat. 58, 30 (2004)). With
    D^H y = 0 for the filtered frames y, the new residual is the old one minus its projection on D.
    """

    def __init__(
        self,
        frames: NDArray[np.complex64],
        image: BubbleImage,
        noise_rms: float,
        jerk: NDArray[np.float64],
        limit: float = 2.0,
        removed: NDArray[Any] | None = None,
    ) -> None:
        self.frames = frames
        self._removed = removed if removed is not None and removed.shape[1] else None
        self._removal = None
        if self._removed is not None:
            self._removal = Removal(self._removed, self.shape)
        self.noise_rms = noise_rms
        self.fwhm = image.sigma * np.sqrt(8 * np.log(2))
        flat = np.array(frames.shape[1:]) == 1
        half = np.clip(np.rint(_WINDOW * self.fwhm), 2, 7).astype(np.int64)
        self.half = np.where(flat, 0, half)
        self._jerk, self._limit = np.asarray(jerk, np.float64), limit
        self._floor = max(noise_rms**2, float(np.finfo(np.float32).tiny))
        self.left = frames.copy()
        self._floats = self.left.view(np.float32)  # for the kernels
        self.use(image)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a frame."""
        z, y, x = self.frames.shape[1:]
        return z, y, x

    def use(self, image: BubbleImage) -> None:
        """Use another image from now on."""
        self.image = image
        self._table, self._slope = image.tables(int(self.half.max()) + _MARGIN)

    def restart(self, bubbles: Bubbles) -> None:
        """Recompute the residual for these bubbles, which may move again."""
        bubbles.begin()
        if self._removal is not None:
            self._removal.restart()
        kernels.restart(
            self._floats, self.frames.view(np.float32), bubbles.first, bubbles.place,
            bubbles.amplitude, self.half, self._table, self._slope,
        )  # fmt: skip

    def sweep(self, bubbles: Bubbles, times: int) -> None:
        """Gauss-Newton steps for all bubbles, then update `noise`, `energy` and `deviation`."""
        mean, hold = np.zeros_like(bubbles.place), np.zeros_like(bubbles.place)
        for turn in range(0, times, _AT_ONCE):
            bubbles.moved[:] = 1.0
            if self._removal is not None and (turn or bubbles.amplitude.any()):
                # Add to the frames what the filter removed from the current bubbles (see Notes).
                self._removal.subtract(self.left, bubbles.place, self.half)
            floor = self._floor if turn % _NOISE_EVERY == 0 else 0.0
            expected(
                bubbles.before, bubbles.after, bubbles.seen, bubbles.known, self._jerk, mean, hold
            )
            kernels.sweep(
                self._floats, bubbles.first, bubbles.place, bubbles.anchor, bubbles.amplitude,
                bubbles.said, bubbles.trust, mean, hold, bubbles.noise, bubbles.moved, self.half,
                self._limit, self._table, self._slope, min(_AT_ONCE, times - turn), floor,
                bubbles.seen, bubbles.known,
            )  # fmt: skip
        kernels.evidence(
            self._floats, bubbles.first, bubbles.place, bubbles.amplitude, bubbles.before,
            bubbles.after, bubbles.trust, bubbles.noise, self._jerk, self.half, self._table, self._slope,
            self._floor, bubbles.energy, bubbles.deviation,
        )  # fmt: skip

    def measure_image(self, bubbles: Bubbles) -> bool:
        """Correct the image using the residual of bright, isolated bubbles.

        Returns False if there are too few. Call `restart` afterwards.
        """
        scaled = np.column_stack([bubbles.frame * 1e3, bubbles.place / self.fwhm])
        apart = cKDTree(scaled).query(scaled, 2)[0][:, 1] if len(bubbles) > 1 else np.inf
        chosen = (bubbles.energy >= _MEASURED_WITH) & (apart > _ALONE_WIDTHS)
        rows = np.flatnonzero(chosen)
        if len(rows) < _FEWEST:
            return False
        chosen[:] = False
        chosen[rows[:: -(-len(rows) // _MOST)]] = True
        image = self.image
        for axis in np.flatnonzero(self.half):
            room = int(chosen.sum() * (2 * self.half[axis] + 1))
            distance, weight = np.empty(room), np.empty(room)
            lack = np.empty(room, np.complex128)
            n = kernels.profile_samples(
                self._floats, bubbles.first, bubbles.place, bubbles.amplitude, chosen, self.half,
                self._table, self._slope, axis, distance, lack, weight,
            )  # fmt: skip
            # No single bright bubble should determine the image.
            capped = np.minimum(weight[:n], 4 * np.median(weight[:n]))
            image = image.corrected(int(axis), distance[:n], lack[:n], capped)
        self.use(image)
        return True

    def grain(self) -> float:
        """Energy of the residual in a bubble's image, relative to white noise of the same power; at least 1.

        Noise with correlated neighbouring voxels resembles bubbles: by chance, it reaches energies higher
        by this factor. Measured by medians over windows, so that undetected bubbles hardly matter.
        """
        return self._energy_in_images()[1]

    def raised(self) -> float:
        """Factor by which the least energy of a bubble is raised for what resembles bubbles; from 1 to `grain`.

        Noise is new in every frame, so that it hardly forms tracks: the square root of its grain is enough. What is left of
        tissue stays for many frames, so that its energy is larger than that of the changes between frames, by a factor that
        raises it further.
        """
        energy, grain = self._energy_in_images()
        if len(self.left) < 2:
            return grain
        changing, of_noise = self._energy_in_images(changes=True)
        staying = max(energy / changing, 1.0) if changing > 0 else 1.0
        return min(grain, np.sqrt(of_noise) * staying)

    def _energy_in_images(self, changes: bool = False) -> tuple[float, float]:
        """Energy of the residual, or of its changes, in a bubble's image, and its ratio to that of white noise."""
        shape = np.array(self.shape)
        half = np.minimum(self.half, (shape - 1) // 2)
        rng = np.random.default_rng(0)
        t = rng.integers(len(self.left) - changes, size=_GRAINS)
        corner = [rng.integers(n - 2 * h, size=_GRAINS) for n, h in zip(shape, half, strict=True)]
        image = np.ones((1, 1, 1), np.complex128)
        index = []
        for axis, h in enumerate(half.tolist()):
            along = [1, 1, 1]
            along[axis] = 2 * h + 1
            if self.half[axis]:
                image = image * self.image.profile(axis, np.arange(-h, h + 1.0)).reshape(along)
            offset = np.arange(2 * h + 1).reshape(1, *along)
            index.append(corner[axis][:, None, None, None] + offset)
        t = t[:, None, None, None]
        windows = self.left[t, index[0], index[1], index[2]]
        if changes:
            windows = (self.left[t + 1, index[0], index[1], index[2]] - windows) / np.sqrt(2)
        power = (np.abs(windows) ** 2).mean(axis=(1, 2, 3))
        taken = np.abs((windows * image.conj()).sum(axis=(1, 2, 3))) ** 2
        taken /= (np.abs(image) ** 2).sum()
        seen = power > 1e-3 * self._floor  # not masked
        if not seen.any():
            return 0.0, 1.0
        # The median of an exponential distribution is log 2 times its mean.
        energy = float(np.median(taken[seen]) / np.log(2))
        return energy, max(energy / float(np.median(power[seen])), 1.0)

    def taken(self, bubbles: Bubbles) -> NDArray[np.float64]:
        """(n,) fraction of each track's energy that the clutter filter removed, one value per track.

        Computed from the time course at the centre of the track, beyond the fraction removed from noise; 0
        without a filter.
        """
        if self._removed is None or not len(bubbles):
            return np.zeros(len(bubbles))
        label, _ = bubbles.tracks()
        many = np.bincount(label)
        course = bubbles.amplitude.copy()
        for axis in np.flatnonzero(self.half).tolist():
            middle = np.bincount(label, bubbles.place[:, axis]) / many
            course *= self.image.profile(axis, middle[label] - bubbles.place[:, axis])
        kept = np.zeros((len(many), self._removed.shape[1]), np.complex128)
        np.add.at(kept, label, self._removed[bubbles.frame].conj() * course[:, None])
        whole = np.bincount(label, np.abs(course) ** 2)
        share = (np.abs(kept) ** 2).sum(axis=1) / np.maximum(whole, np.finfo(float).tiny)
        of_noise = min(self._removed.shape[1] / len(self.left), 0.99)
        return np.asarray(np.maximum(share - of_noise, 0.0) / (1 - of_noise))[label]
