"""Choose how many frames are filtered together, so that removing tissue costs little slow flow.

Tissue with Doppler bandwidth B occupies about 2 B T + c components of a block of T seconds (Slepian
and Pollak, Bell Syst. Tech. J. 40, 1961; the c components are tissue that is static or moves once).
The clutter filter removes these K of n components from the flow as well. Where c dominates, K / n
falls with the length of the block and slow bubbles are recovered; where tissue keeps changing, K
grows with n and nothing is gained. K is therefore measured on a long block and on short windows of
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate.calibration import Finding
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.load import USUAL_FRAMES
from napari_ulm3d.errors import BlockError, InputError
from napari_ulm3d.filtering import rescale, tissue_cut, valid_voxels

__all__ = ["BlockLength", "chosen_length", "longest_block", "shares_removed"]

_MOST_FRAMES = 1000
_MOST_BYTES = 1_000_000_000
"""Maximum size of a block longer than usual if there is no memory budget."""
_GAIN = 0.9
"""A longer block is chosen if the share of components removed falls by at least this factor."""
_WINDOWS = 3
_TRIES = 3

Shares = dict[int, float]
"""Share of the components that are tissue, by the number of frames in a window."""


@dataclass(frozen=True)
class BlockLength:
    """Frames per block, and how they were chosen; `finding` is None if there was no choice."""

    frames: int
    finding: Finding | None = None

    def of(self, config: PipelineConfig) -> PipelineConfig:
        """The settings with this length, unless they already give one."""
        if config.load.frames_per_block is not None:
            return config
        load = config.load.replace(frames_per_block=self.frames)
        return config.model_copy(update={"load": load})


def longest_block(
    acquisition: Acquisition, config: PipelineConfig, most_frames: int | None = None
) -> int:
    """The longest block that may be chosen; `load.frames_per_block` if given.

    It is the usual length if components are given by number or another filter is used, since
    both assume blocks of that length, and if no file is longer.

    Parameters
    ----------
    most_frames
        Most frames that fit the memory budget. None: no budget; blocks stay below 1 GB.
    """
    if config.load.frames_per_block is not None:
        return config.load.frames_per_block
    clutter = config.clutter
    if clutter.method != "svd" or clutter.svd_range is not None or clutter.svd_automatic:
        return USUAL_FRAMES
    if most_frames is None:
        most_frames = _MOST_BYTES // (acquisition.grid.size * acquisition.dtype.itemsize)
    file = max(source.shape[0] for source in acquisition.sources)
    return max(USUAL_FRAMES, min(most_frames, _MOST_FRAMES, file))


def shares_removed(block: Block) -> Shares:
    """Share of the components that are tissue, in windows of the usual, half and full length.

    Raises
    ------
    InputError
        The block cannot be read.
    """
    frames = block.read()
    rescale(frames)
    valid = valid_voxels(frames)
    shares: Shares = {}
    for length in sorted({USUAL_FRAMES, max(USUAL_FRAMES, len(frames) // 2), len(frames)}):
        starts = np.linspace(0, len(frames) - length, _WINDOWS).astype(int)
        firsts = [tissue_cut(frames[k : k + length], valid).first for k in sorted(set(starts))]
        shares[length] = (float(np.median(firsts)) - 1) / length
    return shares


def chosen_length(
    measured: Callable[[Block], Shares],
    acquisition: Acquisition,
    config: PipelineConfig,
    most_frames: int | None = None,
) -> BlockLength:
    """Choose the number of frames per block.

    Parameters
    ----------
    measured
        `shares_removed`, run here or by a worker.
    most_frames
        As in `longest_block`.
    """
    longest = longest_block(acquisition, config, most_frames)
    if config.load.frames_per_block is not None or longest == USUAL_FRAMES:
        return BlockLength(longest)
    long = [block for block in acquisition.blocks(longest) if block.n_frames > USUAL_FRAMES]
    for block in long[:_TRIES]:
        try:
            shares = measured(block)
        except (InputError, BlockError):
            continue  # if no block can be read, the calibration reports the error
        return _by(shares, longest)
    return BlockLength(USUAL_FRAMES)


def _by(shares: Shares, longest: int) -> BlockLength:
    usual = shares[USUAL_FRAMES]
    rows = [f"{100 * share:.2g} % of {length}" for length, share in sorted(shares.items())]
    finding = Finding(
        "frames per block", str(USUAL_FRAMES), f"components that are tissue's: {', '.join(rows)}"
    )
    if not any(shares.values()):
        return BlockLength(USUAL_FRAMES, replace(finding, how="no tissue recognized"))
    for length in sorted(shares, reverse=True):
        if length > USUAL_FRAMES and 0 < shares[length] <= _GAIN * usual:
            frames = longest if length == max(shares) else length
            return BlockLength(frames, replace(finding, value=f"at most {frames}"))
    return BlockLength(USUAL_FRAMES, finding)
