"""Frames in decibels, computed when read, since a viewer cannot show complex IQ data."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition

__all__ = ["DYNAMIC_RANGE_DB", "DecibelSeries"]

#: Lower levels are clipped to this.
DYNAMIC_RANGE_DB = 80.0

# Frames are read this many bytes at a time, since files are often compressed in chunks.
_STRETCH_BYTES = 4 << 20
_CACHE_BYTES = 128 << 20


class DecibelSeries:
    """The magnitude of an acquisition's frames in dB below a fixed reference.

    An array to napari (`shape`, `dtype`, `ndim`, indexing), (t, z, y, x) float32; frames
    are read when indexed, and the latest raw frames are cached. Only the requested part of a
    frame, in 2-D one plane, is computed. The reference, the largest magnitude of the first
    frame, is fixed, so that brightness means the same in every frame.

    Parameters
    ----------
    acquisition
        IQ or envelope; negative envelope values count as zero.
    reference
        Magnitude at 0 dB; None: the largest in the first frame, which is read for it.
    """

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, acquisition: Acquisition, reference: float | None = None) -> None:
        self.acquisition = acquisition
        self.shape = acquisition.shape
        frame_bytes = acquisition.grid.size * acquisition.dtype.itemsize
        self._stretch = max(1, min(_STRETCH_BYTES // frame_bytes, self.shape[0]))
        self._n_kept = max(2, _CACHE_BYTES // (self._stretch * frame_bytes))
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        if reference is None:
            reference = float(_magnitude(acquisition.read(0, 1)).max())
        self.reference = reference if np.isfinite(reference) and reference > 0 else 1.0

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            key = (*key[:at], *[slice(None)] * (5 - len(key)), *key[at + 1 :])
        time, rest = (key[0], key[1:]) if key else (slice(None), ())
        if isinstance(time, slice):
            parts = [self._part(t, rest) for t in range(*time.indices(self.shape[0]))]
            if not parts:
                return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]
            return np.stack(parts)
        if np.ndim(time) > 0:
            return np.stack([self._part(int(t), rest) for t in time])
        return self._part(int(time), rest)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def frame(self, number: int) -> NDArray[np.float32]:
        """Frame `number`, (z, y, x), dB in [-`DYNAMIC_RANGE_DB`, ...)."""
        return self._part(number, ())

    def _part(self, number: int, key: tuple[Any, ...]) -> NDArray[np.float32]:
        return self._decibels(self._read(number)[key])

    def _read(self, number: int) -> NDArray[Any]:
        """Frame `number` as stored, (z, y, x)."""
        number = range(self.shape[0])[number]
        stretch, within = divmod(number, self._stretch)
        with self._lock:
            frames = self._kept.pop(stretch, None)
            if frames is None:
                start = stretch * self._stretch
                stop = min(start + self._stretch, self.shape[0])
                frames = self.acquisition.read(start, stop)
            self._kept[stretch] = frames
            while len(self._kept) > self._n_kept:
                self._kept.popitem(last=False)
        return np.asarray(frames[within])

    def _decibels(self, values: NDArray[Any]) -> NDArray[np.float32]:
        floor = np.float32(10 ** (-DYNAMIC_RANGE_DB / 20))
        ratio = _magnitude(np.asarray(values)) / np.float32(self.reference)
        decibels: NDArray[np.float32] = 20 * np.log10(
            np.maximum(np.nan_to_num(ratio, nan=0.0), floor)
        )
        return decibels


def _magnitude(frames: NDArray[Any]) -> NDArray[np.float32]:
    if frames.dtype.kind == "c":
        return np.abs(frames).astype(np.float32, copy=False)
    return np.maximum(frames, 0).astype(np.float32, copy=False)
