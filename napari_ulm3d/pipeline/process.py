"""The core of a run: blocks in, events out, nothing written."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from napari_ulm3d.acquisition import Acquisition, Block, FrameSource
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import link_frames
from napari_ulm3d.maps import MapAccumulator, resolution, saturation_curve
from napari_ulm3d.pipeline.blocks import STAGES_OF_A_BLOCK, acquisition_psf, localize_block
from napari_ulm3d.pipeline.events import BlockFinished, Event, MapsFinished, StageStarted
from napari_ulm3d.pipeline.memory import return_free_memory
from napari_ulm3d.provenance import block_key, source_fingerprint
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["BlockStore", "process"]


class BlockStore(Protocol):
    """Where finished blocks are kept between runs (a `ResultsFolder` is one)."""

    def read_block(self, index: int, key: str) -> BlockResult | None: ...
    def write_block(self, index: int, block: BlockResult, key: str) -> None: ...


def process(
    acquisition: Acquisition,
    config: PipelineConfig,
    *,
    store: BlockStore | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Run all stages over an acquisition.

    Parameters
    ----------
    acquisition
        Its frames are read block by block.
    config
        Settings of all stages.
    store
        Where finished blocks are looked up and kept; None computes every block.
    stop
        Asked often; when it says True the run ends with `Cancelled`.

    Yields
    ------
    Event
        `StageStarted`, a `BlockFinished` a block, in order, then `MapsFinished`.

    Raises
    ------
    Cancelled
        `stop` said so.
    InputError
        A block cannot be read or used.
    """
    stop = stop or (lambda: False)
    grid = acquisition.grid
    blocks = acquisition.blocks(config.load.frames_per_block)
    yield StageStarted("point-spread function")
    psf, first_filtered = acquisition_psf(acquisition, config, blocks[0])
    psf_digest = hashlib.sha256(psf.array.tobytes()).hexdigest()
    accumulator = MapAccumulator(grid, config.maps)
    power = np.zeros(grid.shape, np.float64)
    finished: deque[tuple[Block, BlockResult, bool, float]] = deque()

    def localized() -> Iterator[Localizations]:
        nonlocal first_filtered
        hashed: tuple[FrameSource | None, str] = (None, "")
        began = time.perf_counter()
        for block in blocks:
            if stop():
                raise Cancelled("The run was stopped; finished blocks are kept.")
            result, key = None, ""
            if store:
                # Once a source: hashing may walk a whole store or make frames again.
                if block.source is not hashed[0]:
                    hashed = (block.source, source_fingerprint(block.source))
                key = block_key(block, hashed[1], config, STAGES_OF_A_BLOCK, psf_digest)
                result = store.read_block(block.index, key)
            reused = result is not None
            if result is None:
                result = localize_block(block, acquisition, psf, config, stop, first_filtered)
                if store:
                    store.write_block(block.index, result, key)
            first_filtered = None  # it was the first block's alone, and is large
            return_free_memory()
            now = time.perf_counter()
            finished.append((block, result, reused, now - began))
            began = now
            yield result.localizations

    yield StageStarted("localizing")
    tracks = Tracks.empty()
    # The linker pulls the blocks and answers each with the tracks that ended in it,
    # then, when there are no more, with the tracks that were still open.
    for tracks in link_frames(localized(), acquisition.rate_hz, config.link):
        accumulator.add(tracks)
        if finished:
            block, result, reused, seconds = finished.popleft()
            power += result.power_doppler * (result.n_frames / acquisition.n_frames)
            yield BlockFinished(
                index=block.index,
                n_blocks=len(blocks),
                first_frame=block.first_frame,
                n_frames=block.n_frames,
                result=result,
                tracks=tracks,
                reused=reused,
                seconds=seconds,
            )

    yield StageStarted("mapping")
    maps = accumulator.maps()
    maps["power_doppler"] = VesselMap.from_dense(
        "power_doppler", power.astype(np.float32), grid, "a.u."
    )
    yield MapsFinished(
        tracks=tracks,
        maps=maps,
        saturation=saturation_curve(accumulator, duration_s=acquisition.duration_s),
        resolution=resolution(*accumulator.halves()) if config.maps.fsc else None,
    )
