"""Workers: the same result to the bit; what travels; what cannot; what workers die of."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution, parse_bytes
from napari_ulm3d.errors import BackendError, ConfigError, InputError
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    ClusterReady,
    RunFinished,
    run,
    run_events,
)
from napari_ulm3d.pipeline.dask.worker import Preparation, visible_gpus

pytest.importorskip("distributed")

CONFIG = PipelineConfig().with_settings(
    ["load.frames_per_block=10", "clutter.svd_range=2,200", "maps.resolution_factor=4", "device=cpu"]
)  # fmt: skip
LOAD = CONFIG.load.replace(
    axes="tzyx", voxel_um=(100, 150, 150), rate_hz=260.0, wavelength_um=100.0
)


@pytest.fixture(scope="module")
def files(flow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flow in two files, so that blocks are several a file and files several."""
    folder = tmp_path_factory.mktemp("lab")
    np.save(folder / "IQ1.npy", flow.frames[:30])
    np.save(folder / "IQ2.npy", flow.frames[30:])
    return folder


@pytest.fixture(scope="module")
def alone(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("alone") / "r"
    run(open_acquisition(files, LOAD), CONFIG, out)
    return out


def assert_same(one: Path, other: Path) -> None:
    for name in ("localizations.parquet", "tracks.parquet"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    first, second = ResultsFolder.open(one), ResultsFolder.open(other)
    assert first.map_names() == second.map_names()
    for name in first.map_names():
        np.testing.assert_array_equal(first.map(name).dense(), second.map(name).dense())


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_the_result_is_that_of_one_process(
    files: Path, alone: Path, tmp_path: Path, workers: int
) -> None:
    told: list[BlockProgress] = []
    events = list(
        run_events(
            open_acquisition(files, LOAD),
            CONFIG,
            tmp_path / "r",
            execution=Execution(workers=workers),
            tell=told.append,
        )
    )
    assert_same(alone, tmp_path / "r")
    # Workers tell how far they are; what the last ones say may come when all is over.
    assert {0, 1, 2} <= {one.index for one in told} <= set(range(6))
    assert all((one.n_blocks, one.n_frames) == (6, 10) for one in told)
    assert all(0 < one.share <= 1 for one in told)
    (ready,) = [event for event in events if isinstance(event, ClusterReady)]
    assert ready.n_workers == workers
    assert not ready.dashboard or ready.dashboard.startswith("http://127.0.0.1:")
    assert [e.index for e in events if isinstance(e, BlockFinished)] == list(range(6))


@pytest.mark.slow
def test_workers_choose_the_same_length_of_a_block(flow, tmp_path: Path) -> None:
    long = np.concatenate([flow.frames, flow.frames[::-1]] * 3)
    assert len(long) > 250
    np.save(tmp_path / "IQ.npy", long)
    left = CONFIG.with_settings(["load.frames_per_block=auto", "clutter.svd_range=auto"])
    acquisition = open_acquisition(tmp_path / "IQ.npy", LOAD)
    run(acquisition, left, tmp_path / "alone")
    run(acquisition, left, tmp_path / "workers", execution=Execution(workers=1))
    assert_same(tmp_path / "alone", tmp_path / "workers")
    records = [ResultsFolder.open(tmp_path / name).facts() for name in ("alone", "workers")]
    first, second = (record["calibration"]["findings"][0] for record in records)
    assert first == second
    assert first["name"] == "frames per block"


def test_one_process_needs_no_dask() -> None:
    code = textwrap.dedent("""
        import sys
        import numpy as np
        from napari_ulm3d import PipelineConfig, Acquisition, run
        rng = np.random.default_rng(0)
        noise = rng.normal(size=(20, 8, 8, 8)) + 1j * rng.normal(size=(20, 8, 8, 8))
        acquisition = Acquisition.from_array(noise, (100, 100, 100), 100.0, wavelength_um=100.0)
        run(acquisition, PipelineConfig().with_settings(["clutter.svd_range=2,20"]))
        print([name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")])
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "npz", "mat", "h5", "zarr", "tif"])
def test_blocks_travel_by_their_path(flow, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"IQ.{kind}"
    frames = flow.frames[:20]
    if kind == "npy":
        np.save(path, frames)
    elif kind == "npz":
        np.savez(path, IQ=frames)
    elif kind == "mat":
        savemat(path, {"IQ": frames})
    elif kind == "h5":
        import h5py

        with h5py.File(path, "w") as file:
            file["IQ"] = frames
    elif kind == "zarr":
        import zarr

        zarr.save_array(str(path), frames)
    else:
        import tifffile

        tifffile.imwrite(path, np.abs(frames[:, :, 0]), metadata={"axes": "TYX"})
    load = LOAD.replace(axes="tzx" if kind == "tif" else "tzyx")
    block = open_acquisition(path, load).blocks(10)[1]
    block.read()  # what has been opened or mapped by now must not travel either
    packed = pickle.dumps(block)
    assert len(packed) < 3000
    np.testing.assert_array_equal(pickle.loads(packed).read(), block.read())


def test_frames_in_memory_are_refused(flow) -> None:
    with pytest.raises(
        InputError, match=r"straight flow: exists only in memory.* Save it to a file"
    ):
        list(run_events(flow.acquisition, CONFIG, execution=Execution(workers=1)))


POISON = """
import os, signal, time
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Poison:
    path: str
    at: int
    how: str

    @property
    def name(self): return self.path
    @property
    def frames(self): return np.load(self.path, mmap_mode="r")
    @property
    def shape(self): return self.frames.shape
    @property
    def dtype(self): return np.dtype(np.complex64)

    def read(self, start, stop):
        marker = self.path + ".was_here"
        if start == self.at and stop - start > 1:
            if self.how == "kill" or (self.how == "kill once" and not os.path.exists(marker)):
                open(marker, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "eat":
                held = [np.ones(10_000_000) for _ in range(12)]
                time.sleep(60)
        return np.array(self.frames[start:stop])
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "kill once", "eat"])
def test_a_worker_that_dies_costs_its_block_at_most(
    flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "poisonous.py").write_text(POISON)
    monkeypatch.syspath_prepend(tmp_path)
    np.save(tmp_path / "frames.npy", flow.frames)
    poison: Any = importlib.import_module("poisonous")
    sys.modules.pop("poisonous")
    source = poison.Poison(str(tmp_path / "frames.npy"), 30, how)
    sys.modules["poisonous"] = poison
    acquisition = Acquisition((source,), flow.acquisition.grid, 260.0, wavelength_um=100.0)
    execution = Execution(workers=2, memory="3GB" if how == "eat" else None)
    events = list(run_events(acquisition, CONFIG, execution=execution))
    failed = [event.index for event in events if isinstance(event, BlockFailed)]
    finished = [event.index for event in events if isinstance(event, BlockFinished)]
    lost = [] if how == "kill once" else [3]
    assert failed == lost  # the blocks that were with the worker are not taken for the culprit
    assert finished == [index for index in range(6) if index not in lost]
    if lost:
        (block,) = [event for event in events if isinstance(event, BlockFailed)]
        assert "its worker process died" in block.reason


def test_workers_are_given_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-77")
    assert visible_gpus() == ["2", "GPU-77"]
    given = []
    for number in range(3):
        monkeypatch.setattr("signal.signal", lambda *_: None)
        Preparation(("2", "GPU-77")).apply(number)
        given.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert given == ["2", "GPU-77", "2"]
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert visible_gpus() == []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_run_with_workers_in_one_line(flow, tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.concatenate([flow.frames] * 40))
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_ulm3d", "run", "long.npy", "--out", "r", "--workers", "1",
         "--axes", "tzyx", "--voxel-um", "100", "150", "150", "--rate", "260",
         "--wavelength-um", "100", "--set", "clutter.svd_range=2,200", "--set",
         "load.frames_per_block=10"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Programs started in the background inherit that they ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list(tmp_path.glob("r/blocks/*.npz")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "with --resume" in errors


def test_a_setting_that_does_not_fit_comes_home_as_it_is(files: Path) -> None:
    hopeless = CONFIG.with_settings(["clutter.svd_range=90,99"])
    with pytest.raises(ConfigError, match="svd_range keeps components 90 to 99"):
        list(run_events(open_acquisition(files, LOAD), hopeless, execution=Execution(workers=1)))


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, str]:
    """A certificate that signs itself, as its own authority."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not at hand")
    return {"tls_ca": str(certificate), "tls_cert": str(certificate), "tls_key": str(key)}


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_cluster_that_runs_already(
    files: Path, alone: Path, tmp_path: Path, certificates: dict[str, str], protocol: str
) -> None:
    from distributed import LocalCluster
    from distributed.security import Security

    tls = certificates if protocol == "tls" else {}
    security = Security(
        tls_ca_file=tls["tls_ca"], require_encryption=True,
        **{f"tls_{who}_{what}": tls[f"tls_{what}"]
           for who in ("client", "worker", "scheduler") for what in ("cert", "key")},
    ) if tls else None  # fmt: skip
    acquisition = open_acquisition(files, LOAD)
    with LocalCluster(
        n_workers=1, threads_per_worker=2, protocol=f"{protocol}://", security=security,
        dashboard_address=None,
    ) as there:  # fmt: skip
        address = there.scheduler_address
        assert address.startswith(f"{protocol}://")
        execution = Execution(scheduler=address, **tls)
        events = list(run_events(acquisition, CONFIG, tmp_path / "r", execution=execution))
        assert isinstance(events[-1], RunFinished)
        # It is not ours to close: another run finds it as it was.
        list(run_events(acquisition, CONFIG, execution=execution))
    assert_same(alone, tmp_path / "r")


def test_no_cluster_there(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_ulm3d.pipeline.dask.client.CONNECT_S", 2.0)
    with pytest.raises(BackendError, match=r"tcp://127.0.0.1:1: no Dask cluster"):
        list(
            run_events(
                open_acquisition(files, LOAD), CONFIG, execution=Execution(scheduler="tcp://127.0.0.1:1")
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("8GB", 8e9), ("500 mb", 5e8), ("1.5GiB", 1.5 * 2**30), ("2g", 2e9), ("1000", 1000)],
)
def test_amounts_of_memory(text: str, n_bytes: float) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize(
    "values",
    [
        {"memory": "lots"}, {"memory": "0GB"}, {"memory": "-1GB"}, {"memory": "8XB"}, {"workers": 0},
        {"workers": 2, "scheduler": "tcp://h:1"}, {"scheduler": "h:1"}, {"scheduler": "tls://h:1"},
        {"tls_ca": "x"},
    ],
)  # fmt: skip
def test_what_does_not_go_together(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Execution.from_dict(values)


@pytest.mark.slow
def test_dask_says_nothing_beside_the_run(tmp_path: Path) -> None:
    """Stopping may close a connection before its scheduler: critical to Dask, and no fault."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import logging
            from contextlib import ExitStack
            from napari_ulm3d.config import PipelineConfig
            from napari_ulm3d.config.execution import Execution
            from napari_ulm3d.pipeline.dask.client import local_client

            if __name__ == "__main__":
                with ExitStack() as stack:
                    local_client(stack, Execution(workers=1), PipelineConfig())
                    logging.getLogger("distributed.scheduler").critical("Closed comm")
                logging.getLogger("distributed.scheduler").critical("not ours")
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "Closed comm" not in done.stderr
    assert "not ours" in done.stderr
