"""Make the results folder that comes with the package: `python scripts/sample_map.py FOLDER`.

Simulates the cortex of `napari_ulm3d.simulate.sample_map`, runs the pipeline on it in WORK (where an
interrupted run is resumed; a quarter of an hour on two cores), and writes the files that the viewer
opens to FOLDER: `run.toml`, the tracks, rounded far below their accuracy, and the curves of
saturation and resolution. Maps are computed from the tracks when the folder is opened.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.pipeline import run
from napari_ulm3d.simulate import simulate
from napari_ulm3d.simulate.sample_map import SAMPLE_MAP_SETTINGS, sample_map_config
from napari_ulm3d.tables import Localizations, Tracks

# Rounding steps of the columns of tracks: powers of two, so that few bits remain.
_STEPS = {"_um": 1.0, "_mm_s": 1 / 16, "score": 1 / 16}
_AS_THEY_ARE = ("saturation.csv", "fsc.csv")
_MOST_BYTES = 5_000_000


def main() -> None:
    """Run the pipeline, or use an existing run; then write the small folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the small results folder goes")
    parser.add_argument("--work", type=Path, default=Path("sample_map_run"), help="the whole run")
    options = parser.parse_args()
    config = PipelineConfig().with_settings(list(SAMPLE_MAP_SETTINGS))
    acquisition = simulate(sample_map_config()).acquisition
    print(run(acquisition, config, options.work, resume=True).report)
    shrink(ResultsFolder.open(options.work), options.folder)


def shrink(whole: ResultsFolder, folder: Path) -> None:
    """Write the part of a run that a viewer opens, rounded and compressed."""
    small = ResultsFolder.create(folder, overwrite=True)
    _write_tracks(whole.tracks(), small.tracks_path)
    write(Localizations.empty(), small.localizations_path)
    for name in _AS_THEY_ARE:
        if (whole.path / name).is_file():
            shutil.copyfile(whole.path / name, folder / name)
    facts = whole.facts()
    facts["program"] |= {"command": "python scripts/sample_map.py"}
    facts["program"].pop("platform", None)  # do not publish the machine
    small.write_facts(facts)
    for empty in ("blocks", "maps"):
        (folder / empty).rmdir()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.2f} MB")
    if size > _MOST_BYTES:
        raise SystemExit(f"That is more than {_MOST_BYTES / 1e6:g} MB.")


def _write_tracks(tracks: Tracks, path: Path) -> None:
    table = tracks.table.copy()
    for name in table.columns:
        step = next((s for ending, s in _STEPS.items() if str(name).endswith(ending)), None)
        if step is not None:
            table[name] = (table[name] / step).round() * step
    # Use `write` for its metadata, then compress as far as Parquet can.
    write(Tracks(table), path)
    arrow = pq.read_table(path)
    wholes = {
        field.name: "DELTA_BINARY_PACKED"
        for field in arrow.schema
        if pa.types.is_integer(field.type)
    }
    pq.write_table(
        arrow,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in arrow.column_names if name not in wholes],
        column_encoding=wholes,
    )


if __name__ == "__main__":
    main()
