"""Speed of the simulation. `python -m benchmarks.simulation`

Volumes of 40 x 36 x 32 voxels with noise and tissue, at 10, 40 and 160 bubbles: wall-clock and
CPU speed of the frames, and the time to grow the vessels and solve their flow.
"""

from __future__ import annotations

import time

from benchmarks.machine import machine_line, markdown_table
from napari_ulm3d.simulate import preset, simulate


def main() -> None:
    base = preset("mouse-brain-15MHz")
    rows = []
    for n_bubbles in (40, 10, 40, 160):  # the first compiles
        bubbles = base.bubbles.replace(n_bubbles=n_bubbles)
        began = time.perf_counter()
        simulation = simulate(base.replace(n_frames=800, seed=101, bubbles=bubbles))
        blocks = simulation.blocks(200)
        next(blocks)
        ready = time.perf_counter()
        cpu = time.process_time()
        n = sum(len(frames) for frames, _ in blocks)
        wall, cpu = time.perf_counter() - ready, time.process_time() - cpu
        rows.append([f"{n_bubbles}", f"{ready - began:.2f}", f"{n / wall:.0f}", f"{n / cpu:.0f}"])
    print(machine_line("scipy"), end="\n\n")
    header = [
        "bubbles",
        "vessels, flow and the first 200 frames, s",
        "volumes/s",
        "volumes/s and core",
    ]
    print(markdown_table(header, rows[1:]))


if __name__ == "__main__":
    main()
