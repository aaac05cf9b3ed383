"""The next block is read while the one before it is processed, and nothing else changes."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.frame_sources import FrameSource
from napari_ulm3d.pipeline import executors, reading_ahead
from napari_ulm3d.pipeline.events import BlockFinished
from napari_ulm3d.pipeline.process import process
from napari_ulm3d.pipeline.reading_ahead import read_ahead

PATIENCE_S = 300


class Source:
    """Frames that carry their number; says when which were read, and in which thread."""

    name, dtype = "source", np.dtype(np.complex64)

    def __init__(self, n_frames: int = 12) -> None:
        self.shape = (n_frames, 2, 3, 4)
        self.reads: list[tuple[int, str]] = []
        self.done = {start: threading.Event() for start in range(0, n_frames, 4)}
        self.gate = threading.Event()
        self.gate.set()
        self.faults: list[InputError] = []

    def read(self, start: int, stop: int) -> np.ndarray:
        assert self.gate.wait(PATIENCE_S)
        self.reads.append((start, threading.current_thread().name))
        if self.faults:
            raise self.faults.pop()
        made = np.empty((stop - start, *self.shape[1:]), np.complex64)
        made[...] = np.arange(start, stop)[:, None, None, None]
        self.done[start].set()
        return made

    def blocks(self) -> list[Block]:
        return [Block(k, 4 * k, self, 4 * k, 4 * k + 4) for k in range(self.shape[0] // 4)]


def test_the_next_block_is_read_while_one_is_in_work() -> None:
    source = Source()
    for block, ahead in read_ahead(source.blocks(), lambda block: block):
        assert ahead is not None
        np.testing.assert_array_equal(ahead.read()[:, 0, 0, 0], block.start + np.arange(4))
        if block.index < 2:  # nobody asked for it yet
            assert source.done[block.stop].wait(PATIENCE_S)
    assert [start for start, _ in source.reads] == [0, 4, 8]
    assert all(name.startswith("read-ahead") for _, name in source.reads)


def test_what_is_not_needed_is_not_read() -> None:
    source = Source()
    kept = [ahead for _, ahead in read_ahead(source.blocks(), lambda _: None)]
    assert kept == [None] * 3
    assert not source.reads


def test_a_block_is_read_anew_when_it_is_tried_again() -> None:
    source = Source(4)
    source.faults = [InputError("source", "is gone", "Bring it back.")]
    ((_, ahead),) = read_ahead(source.blocks(), lambda block: block)
    assert ahead is not None
    with pytest.raises(InputError, match="is gone"):
        ahead.read()
    first = ahead.read()
    first[...] = 0  # filtered in place
    assert ahead.read()[3, 0, 0, 0] == 3
    assert len(source.reads) == 3


def test_leaving_early_waits_for_no_file() -> None:
    source = Source()
    source.gate.clear()
    pairs = read_ahead(source.blocks(), lambda block: block)
    next(pairs)
    pairs.close()  # the read of the first block still hangs
    assert not source.reads
    source.gate.set()


def test_a_block_that_does_not_fit_twice_is_read_when_its_turn_comes(monkeypatch) -> None:
    monkeypatch.setattr(reading_ahead, "free_memory", lambda: 1000)
    source = Source()
    blocks = source.blocks()
    assert [ahead for _, ahead in read_ahead(blocks, lambda block: block)] == blocks
    assert not source.reads


class Watched:
    """The flow's frames, and the threads that read them."""

    name = "watched"

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.shape, self.dtype = source.shape, source.dtype
        self.threads: list[str] = []

    def read(self, start: int, stop: int) -> np.ndarray:
        self.threads.append(threading.current_thread().name)
        return self._source.read(start, stop)


def test_a_run_that_reads_ahead_finds_the_same(monkeypatch, flow) -> None:
    config = PipelineConfig.from_dict(
        {"load": {"frames_per_block": 20}, "clutter": {"svd_range": [2, 200]}}
    )
    found, threads = {}, {}
    for device in (None, "cuda:0"):
        monkeypatch.setattr(executors, "block_device", lambda config, device=device: device)
        source = Watched(flow.acquisition.sources[0])
        events = process(replace(flow.acquisition, sources=(source,)), config)
        tables = [e.result.localizations.table for e in events if isinstance(e, BlockFinished)]
        found[device], threads[device] = pd.concat(tables), source.threads
    assert len(found[None]) > 100
    pd.testing.assert_frame_equal(found[None], found["cuda:0"])
    ahead = [name.startswith("read-ahead") for name in threads["cuda:0"]]
    assert sum(ahead) == 2  # of three blocks the first is at hand, filtered
    assert len(ahead) == len(threads[None])
    assert not any(name.startswith("read-ahead") for name in threads[None])
