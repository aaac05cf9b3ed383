"""Compare ways of linking bubbles: `python -m benchmarks.linkers [--real FILE]`.

Synthetic: bubbles flow along curved vessels at constant speed, for 12 to 60 frames each, among
transient false localizations; tracks of fewer than 9 points are dropped. Real (`--real`, a file of
published tracks; see `real`): at reduced frame rates; no track is dropped. All linkers get the same
points, gate and gap. The links are scored: a link is correct if it joins two consecutive
localizations of one bubble.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.linkers.methods import LINKERS
from benchmarks.linkers.real import real_scenes
from benchmarks.linkers.scenes import SCENES, Scene, Truth, simulate
from benchmarks.linkers.scoring import score
from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import link
from napari_ulm3d.tables import Localizations

MIN_POINTS = 9


def best_time(call: Callable[[], Any], repeats: int = 4) -> tuple[float, Any]:
    """Time of the fastest run (s; the first run compiles) and its result."""
    times: list[float] = []
    result = None
    while len(times) < repeats and sum(times) < 10:
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    cpu = names[0] if names else platform.processor()
    return f"{cpu}, one core, Python {platform.python_version()}, numpy {np.__version__}"


def compare(scene: Scene, truth: Truth, names: list[str], least: int, apart: int | None) -> None:
    """Print a row for each linker."""
    for name in names:
        try:
            seconds, label = best_time(partial(LINKERS[name], scene, truth))
        except ImportError as error:
            print(f"{scene.name:34s}{name:32s}  not installed ({error})")
            continue
        except Exception as error:  # a rival's own limit is a result of this comparison
            print(f"{scene.name:34s}{name:32s}  {type(error).__name__}")
            continue
        precision, recall = score(truth, label, least, apart)
        print(
            f"{scene.name:34s}{name:32s}{1e3 * seconds:8.0f}{len(truth.frame) / seconds:10.0f}"
            f"{precision:12.4f}{recall:9.4f}",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--real", type=Path, metavar="FILE", help="LongEnsemble_1.mat")
    options = parser.parse_args(arguments)
    print(f"Machine: {machine()}. Best of four runs; compiled code warm.\n")
    print(f"{'scene':34s}{'linker':32s}{'ms':>8s}{'points/s':>10s}{'precision':>12s}{'recall':>9s}")
    if options.real is not None:
        # Real tracks have no velocities, and all exact assignments give the same links.
        names = ["this package", "  prediction none", "laptrack", "trackpy"]
        for scene, truth in real_scenes(options.real):
            compare(scene, truth, names, 1, scene.max_gap + 1)
        return
    for scene in SCENES:
        compare(scene, simulate(scene), list(LINKERS), MIN_POINTS, None)
    whole(SCENES[0], copies=1)
    whole(SCENES[0], copies=63)


def whole(scene: Scene, copies: int) -> None:
    """The public `link`, from table to table, on the scene repeated in time."""
    truth = simulate(scene)
    frame = np.concatenate([truth.frame + k * scene.n_frames for k in range(copies)])
    position = np.tile(truth.position, (copies, 1))
    ones = np.ones(len(frame))
    table = Localizations.from_arrays(frame, position, ones, ones, scene.rate_hz)
    config = LinkConfig(max_speed_mm_s=scene.max_speed_mm_s)
    seconds, _ = best_time(partial(link, table, scene.rate_hz, config))
    print(f"link(): {len(frame)} localizations to a table of tracks in {seconds:.2f} s")


if __name__ == "__main__":
    main()
