"""Robustness of the readers to damaged files: ``python -m benchmarks.faults [COUNT]``.

For each format, COUNT damaged files (default 500) are opened and read, each reader in a
separate process; the table lists the outcomes. The same trials, with 500 files, are
part of the tests (``tests/faults``), which also kill runs, fill disks and truncate results.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "faults"))


def main() -> int:
    """Print the table and all faults; return 1 if there were any."""
    from fault_samples import write_samples
    from fault_trials import GOOD, table, try_readers

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(machine_line("h5py", "tifffile", "zarr", "pydicom", "nibabel"))
    with tempfile.TemporaryDirectory() as folder:
        names = write_samples(Path(folder))
        tallies = try_readers(Path(folder), names, count)
    print(table(tallies))
    tried = sum(tally.tried for tally in tallies)
    good = sum(tally.counts[outcome] for tally in tallies for outcome in GOOD)
    print(f"{tried} tried, {tried - good} lost")
    for fault in [fault for tally in tallies for fault in tally.faults]:
        print(fault)
    return int(good < tried)


if __name__ == "__main__":
    sys.exit(main())
