"""Progress within a block: told while it is worked on, seldom, and counted once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.pipeline import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    FramesDone,
    StageStarted,
    run,
    run_events,
)
from napari_ulm3d.pipeline.progress import throttled, time_text
from napari_ulm3d.tables import Localizations, Tracks

CONFIG = PipelineConfig().with_settings(
    [
        "load.frames_per_block=30",
        "clutter.svd_range=2,200",
        "maps.resolution_factor=4",
        "psf.fwhm_voxels=3,3,3",
    ]
)


@pytest.fixture
def every_ten_frames(flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten frames a chunk, and no share that is passed over."""
    size = 10 * flow.frames[0].nbytes
    monkeypatch.setattr("napari_ulm3d.pipeline.localizers.chunks._CHUNK_BYTES", size)
    monkeypatch.setattr("napari_ulm3d.pipeline.executors.throttled", lambda tell: tell)


def finished(index: int, n_frames: int, reused: bool = False) -> BlockFinished:
    result = BlockResult(Localizations.empty(), None, n_frames, {})  # type: ignore[arg-type]
    return BlockFinished(index, 3, 0, n_frames, result, Tracks.empty(), reused, 1.0)


def test_a_block_tells_how_far_it_has_come_before_it_is_finished(flow, every_ten_frames) -> None:
    told: list[BlockProgress | BlockFinished] = []
    for event in run_events(flow.acquisition, CONFIG, tell=told.append):
        if isinstance(event, BlockFinished):
            told.append(event)
    kinds = [type(one).__name__ for one in told]
    assert kinds == (["BlockProgress"] * 4 + ["BlockFinished"]) * 2
    progress = [one for one in told if isinstance(one, BlockProgress)]
    assert [one.index for one in progress] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [one.share for one in progress] == pytest.approx([0, 1 / 3, 2 / 3, 1] * 2)
    assert {(one.n_blocks, one.n_frames) for one in progress} == {(2, 30)}


def test_the_result_is_the_same_whether_it_is_told(flow, every_ten_frames) -> None:
    events = list(run_events(flow.acquisition, CONFIG, tell=lambda progress: None))
    heard = [e.result.localizations.table for e in events if isinstance(e, BlockFinished)]
    assert sum(map(len, heard)) == len(run(flow.acquisition, CONFIG).localizations)


def test_a_networks_windows_are_told(flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from napari_ulm3d.networks import build, save_weights

    torch.manual_seed(0)
    model = build("BubbleNet", {"stem": 2, "channels": (2, 2), "blocks": 1, "head": 2})
    save_weights(tmp_path / "tiny.safetensors", model.eval())
    monkeypatch.setattr("napari_ulm3d.pipeline.executors.throttled", lambda tell: tell)
    config = CONFIG.with_settings(
        ["localize.localizer=network", f"network.weights={tmp_path / 'tiny.safetensors'}",
         "network.window_frames=8", "network.margin_frames=1", "device=cpu"]
    )  # fmt: skip
    told: list[BlockProgress] = []
    list(run_events(flow.acquisition, config, tell=told.append))
    for index in (0, 1):
        shares = [one.share for one in told if one.index == index]
        assert len(shares) > 2
        assert all(before < after for before, after in pairwise(shares))
        assert shares[-1] == 1


def test_it_is_told_seldom_but_always_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.1, 0.19, 0.21, 0.3, 0.31])
    monkeypatch.setattr("napari_ulm3d.pipeline.progress.time.monotonic", lambda: next(clock))
    told: list[float] = []
    tell = throttled(told.append, 0.2)
    for share in (0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        tell(share)
    assert told == [0.1, 0.4, 1.0]


def test_frames_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("napari_ulm3d.pipeline.progress.time.perf_counter", lambda: now)
    done = FramesDone()
    assert done.text(300) == ""
    done.hear(finished(0, 100, reused=True))
    assert done.frames == 100
    assert done.rate_hz() is None  # an earlier run's frames say nothing of the speed
    now += 10
    half = BlockProgress(1, 3, 100, 0.5)
    done.hear(half)
    assert done.frames == 150
    assert done.rate_hz() == pytest.approx(5)
    assert done.text(300) == "5.0 volumes/s, about 30 s left"
    done.hear(replace(half, share=0.2))  # tried again
    assert done.frames == 120
    done.hear(BlockFailed(1, 3, 100, 100, "block 2", "damaged"))
    assert done.frames == 200
    done.hear(replace(half, share=1.0))  # late, of a worker
    assert done.frames == 200
    done.hear(finished(2, 100))
    assert done.frames == 300
    assert done.text(300) == "20 volumes/s"


@pytest.mark.parametrize(("filtering", "a_frame"), [(8.0, 0.01), (0.5, 0.2)])
def test_the_time_left_is_right_within_the_first_block(
    monkeypatch: pytest.MonkeyPatch, filtering: float, a_frame: float
) -> None:
    """Whichever of filtering and localizing takes longer, and after a long calibration."""
    now = 0.0
    monkeypatch.setattr("napari_ulm3d.pipeline.progress.time.perf_counter", lambda: now)
    done = FramesDone()
    done.hear(StageStarted("calibrating"))
    now += 60
    done.hear(StageStarted("localizing"))
    whole = 3 * (filtering + 100 * a_frame)
    for index in range(3):
        done.hear(BlockProgress(index, 3, 100, 0.0))
        assert done.stage() == f"Filtering block {index + 1} of 3"
        now += filtering
        for share in (0.01, 0.1, 0.4, 1.0):
            before = now
            now = 60 + index * whole / 3 + filtering + 100 * a_frame * share
            assert now > before - 1e-9
            done.hear(BlockProgress(index, 3, 100, share))
            assert done.stage() == f"Localizing block {index + 1} of 3"
            told, left = done.seconds_left(300), 60 + whole - now
            if told is None:
                assert index == 0
                assert share < 0.1
            else:
                assert told == pytest.approx(left, rel=0.01, abs=1e-6)
        done.hear(finished(index, 100))
    assert done.rate_hz() == pytest.approx(300 / whole)


def test_durations_read_well() -> None:
    assert [time_text(s) for s in (0.4, 89, 91, 3600, 7200)] == [
        "0 s", "89 s", "2 min", "60 min", "2.0 h"
    ]  # fmt: skip


def test_the_terminal_shows_the_share_of_a_long_block(
    flow, every_ten_frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.progress import Progress

    from napari_ulm3d.cli.terminal.progress import follow

    shown: list[int] = []
    update = Progress.update

    def watched(self: Progress, task, **changes) -> None:
        update(self, task, **changes)
        shown.append(int(self.tasks[0].completed))

    monkeypatch.setattr(Progress, "update", watched)
    config = CONFIG.with_settings(["load.frames_per_block=60"])
    acquisition = flow.acquisition
    follow(
        lambda tell, stop: run_events(acquisition, config, stop=stop, tell=tell),
        acquisition,
        config,
        tmp_path,
    )
    assert {10, 20, 30, 40, 50, 60} <= set(shown)
    assert shown == sorted(shown)
