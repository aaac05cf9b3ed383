"""The acquisition: frames on demand, with grid, volume rate and wavelength."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.frame_sources import ArraySource, FrameSource, JoinedSource, source_path

__all__ = ["Acquisition", "ArraySource", "Block", "FrameSource", "Grid", "source_path"]

Triple = tuple[float, float, float]


_RUNS_SHOWN = 6


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels in space, axes z, y, x.

    Parameters
    ----------
    shape
        Number of voxels along z (depth), y (elevation), x (lateral).
    spacing_um
        Distance between voxel centres along z, y, x, micrometres.
    origin_um
        Position of the centre of voxel (0, 0, 0), micrometres.
    """

    shape: tuple[int, int, int]
    spacing_um: Triple
    origin_um: Triple = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "spacing_um", tuple(float(s) for s in self.spacing_um))
        object.__setattr__(self, "origin_um", tuple(float(o) for o in self.origin_um))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid needs three axes of at least one voxel, not {self.shape}")
        spacing = np.asarray(self.spacing_um)
        if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise ValueError(
                f"the voxel spacing must be three positive lengths in um, not {self.spacing_um}"
            )
        if len(self.origin_um) != 3 or not np.isfinite(self.origin_um).all():
            raise ValueError(
                f"the origin must be three finite positions in um, not {self.origin_um}"
            )

    @property
    def size(self) -> int:
        """Total number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def extent_um(self) -> Triple:
        """Edge lengths of the whole grid (between voxel borders, not centres), micrometres."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing_um, strict=True))
        return (z, y, x)

    def to_um(self, index: ArrayLike) -> NDArray[np.float64]:
        """Convert voxel indices (..., 3), possibly fractional, to positions in micrometres."""
        return np.asarray(index, float) * self.spacing_um + self.origin_um

    def to_index(self, position_um: ArrayLike) -> NDArray[np.float64]:
        """Convert positions (..., 3) in micrometres to fractional voxel indices."""
        return (np.asarray(position_um, float) - self.origin_um) / self.spacing_um

    def contains(self, position_um: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions (..., 3), micrometres, lie inside the grid (voxel borders included)."""
        index = self.to_index(position_um)
        inside = (index >= -0.5) & (index < np.asarray(self.shape) - 0.5)
        return np.asarray(inside.all(axis=-1))

    def isotropic(self, factor: float) -> Grid:
        """A finer cubic grid over the same extent, with voxel edge min(spacing) / factor.

        An axis with a single voxel (a 2-D acquisition) keeps one voxel.
        """
        if not factor > 0:
            raise ValueError(f"the resolution factor must be positive, not {factor}")
        resolved = [s for s, n in zip(self.spacing_um, self.shape, strict=True) if n > 1]
        edge = min(resolved or self.spacing_um) / factor
        shape, spacing, origin = [], [], []
        for n, s, o in zip(self.shape, self.spacing_um, self.origin_um, strict=True):
            if n == 1:
                voxels, step, first = 1, s, o
            else:
                voxels, step, first = int(np.ceil(n * s / edge - 1e-9)), edge, o - s / 2 + edge / 2
            shape.append(voxels)
            spacing.append(step)
            origin.append(first)
        return Grid(tuple(shape), tuple(spacing), tuple(origin))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Block:
    """A run of consecutive frames of one source: the unit of filtering and of resuming.

    Attributes
    ----------
    index
        Number of the block in the acquisition, from 0.
    first_frame
        Number of its first frame in the whole acquisition.
    """

    index: int
    first_frame: int
    source: FrameSource
    start: int
    stop: int

    @property
    def n_frames(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """Source and frame range, for messages."""
        return f"{self.source.name} [{self.start}:{self.stop}]"

    def read(self) -> NDArray[Any]:
        """Read the block's frames as a new array (t, z, y, x), checked to be finite."""
        frames = self.source.read(self.start, self.stop)
        # A sum is finite only if every term is: one pass, and no mask as large as the block.
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(
                frames.sum(dtype=np.complex128 if frames.dtype.kind == "c" else np.float64)
            )
        if not finite:
            bad = [self.start + k for k, one in enumerate(frames) if not np.isfinite(one).all()]
            raise InputError(
                self.source.name,
                f"contains NaN or infinite values in {_frames_in_words(bad)}",
                "Replace these frames or leave them out."
                if len(bad) < len(frames)
                else "If they mark voxels outside the field of view, set these to 0, in Python "
                "with numpy.nan_to_num.",
            )
        return frames


@dataclass(frozen=True)
class Acquisition:
    """A series of ultrasound volumes: lazy frames, grid, rate, wavelength and provenance.

    Parameters
    ----------
    sources
        The files in temporal order; their frames are consecutive.
    grid
        Voxel grid of one frame.
    rate_hz
        Volumes per second.
    kind
        ``"iq"``: complex64 with phase. ``"envelope"``: float32 magnitude only.
    wavelength_um
        Wavelength in the medium; None if unknown.
    frequency_hz, sound_speed_m_s
        Transmit frequency and speed of sound; None if unknown.
    name
        Display name.
    notes
        Assumptions made while reading it, one sentence each.
    metadata
        Other metadata from the files, as plain strings and numbers.
    """

    sources: tuple[FrameSource, ...]
    grid: Grid
    rate_hz: float
    kind: Literal["iq", "envelope"] = "iq"
    wavelength_um: float | None = None
    frequency_hz: float | None = None
    sound_speed_m_s: float | None = None
    name: str = "acquisition"
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError(self.name, "contains no frames", "Name at least one file.")
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise InputError(
                self.name, f"has a frame rate of {self.rate_hz} Hz", "Give it with --rate."
            )
        for source in self.sources:
            if tuple(source.shape[1:]) != self.grid.shape:
                raise InputError(
                    source.name,
                    f"has frames of {source.shape[1:]} voxels, but the first file has "
                    f"{self.grid.shape}",
                    "Give only files of one acquisition.",
                )
            if (source.dtype.kind == "c") != (self.kind == "iq"):
                raise InputError(
                    source.name,
                    f"contains {source.dtype}, but the acquisition is {self.kind}",
                    "Give only files of one acquisition.",
                )

    @classmethod
    def from_array(
        cls,
        frames: ArrayLike,
        voxel_um: Triple,
        rate_hz: float,
        *,
        wavelength_um: float | None = None,
        origin_um: Triple = (0.0, 0.0, 0.0),
        name: str = "array",
        **more: Any,
    ) -> Acquisition:
        """Build an acquisition from frames in memory, (t, z, y, x) or, in 2-D, (t, z, x)."""
        array = np.asarray(frames)
        if array.ndim == 3:
            array = array[:, :, None, :]
        source = ArraySource(array, name)
        return cls(
            sources=(source,),
            grid=Grid(source.shape[1:], voxel_um, origin_um),
            rate_hz=rate_hz,
            kind="iq" if source.dtype.kind == "c" else "envelope",
            wavelength_um=wavelength_um,
            name=name,
            **more,
        )

    @property
    def n_frames(self) -> int:
        return sum(source.shape[0] for source in self.sources)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(t, z, y, x) over all sources."""
        return (self.n_frames, *self.grid.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sources[0].dtype

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.rate_hz

    def blocks(self, frames_per_block: int = 200, *, join: bool = False) -> tuple[Block, ...]:
        """Split the frames into blocks of at most about `frames_per_block` frames.

        Files are split evenly (450 frames give 3 x 150, not 200 + 200 + 50): a clutter filter
        with fixed cut-offs would treat a short last block differently.

        Parameters
        ----------
        frames_per_block
            Maximum number of frames in a block.
        join
            Join consecutive whole files that are shorter than a block. False: no block spans two
            files, for scanners that pause between files.
        """
        if frames_per_block < 1:
            raise ValueError(f"a block needs at least one frame, not {frames_per_block}")
        blocks: list[Block] = []
        first = 0
        for source in _joined(self.sources, frames_per_block) if join else self.sources:
            total = source.shape[0]
            cuts = np.linspace(0, total, -(-total // frames_per_block) + 1).round().astype(int)
            for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
                blocks.append(Block(len(blocks), first + start, source, start, stop))
            first += total
        return tuple(blocks)

    def only(self, block: Block) -> Acquisition:
        """The acquisition reduced to what one block needs; a worker gets no other files."""
        return replace(self, sources=(block.source,), notes=(), metadata={})

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 of the whole acquisition, (t, z, y, x)."""
        if not 0 <= start < stop <= self.n_frames:
            raise IndexError(f"frames {start}:{stop} of an acquisition with {self.n_frames} frames")
        parts = []
        for first, source in self._with_first_frame():
            low, high = max(start - first, 0), min(stop - first, source.shape[0])
            if low < high:
                parts.append(source.read(low, high))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _with_first_frame(self) -> Iterator[tuple[int, FrameSource]]:
        first = 0
        for source in self.sources:
            yield first, source
            first += source.shape[0]


def _joined(sources: tuple[FrameSource, ...], most: int) -> Iterator[FrameSource]:
    """Group whole sources into similarly long runs of at most `most` frames, if possible."""
    # Even runs rather than full ones and a short last one, which a clutter filter with fixed
    # cut-offs would treat differently.
    total = sum(source.shape[0] for source in sources)
    n_runs = -(-total // most)
    run: list[FrameSource] = []
    length, number, first = 0, 0, 0
    for source in sources:
        frames = source.shape[0]
        wanted = int((first + frames / 2) * n_runs / total)
        if run and (wanted != number or length + frames > most):
            yield run[0] if len(run) == 1 else JoinedSource(tuple(run))
            run, length = [], 0
        run.append(source)
        length, number, first = length + frames, wanted, first + frames
    yield run[0] if len(run) == 1 else JoinedSource(tuple(run))


def _frames_in_words(frames: list[int]) -> str:
    """Ascending numbers as "frame 3" or "frames 3, 7 to 9 and 12 more"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = runs[:_RUNS_SHOWN]
    parts = [f"{a}" if a == b else f"{a} to {b}" for a, b in shown]
    more = len(frames) - sum(b - a + 1 for a, b in shown)
    ending = f" and {more:,} more" if more else ""
    return f"frame{'' if len(frames) == 1 else 's'} {', '.join(parts)}{ending}"
