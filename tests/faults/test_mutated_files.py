"""Damaged files: each is read or refused in a sentence; none crashes, hangs or eats memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
pytest.importorskip("nibabel")
pytest.importorskip("SimpleITK")

from fault_mutations import mutate
from fault_samples import write_samples
from fault_trials import GOOD, table, try_readers

from napari_ulm3d.io.formats.registry import readers

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux")

MANY = int(os.environ.get("ULM3D_FAULTS", "500"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    return folder


@pytest.mark.parametrize("count", [60, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [reader.name for reader in readers()])
def test_damaged_files_are_read_or_refused(
    samples: Path, name: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (samples / name.replace(" ", "_")).is_dir(), f"no samples of {name}: add a writer"
    tallies = try_readers(samples, [name], count)
    with capsys.disabled():
        print("\n" + table(tallies))
    (tally,) = tallies
    assert tally.tried == count
    assert sum(tally.counts[outcome] for outcome in GOOD) == count, "\n".join(tally.faults[:20])
    # Were all of one kind the damage would be too gentle, or the samples not read at all.
    assert min(tally.counts[outcome] for outcome in GOOD) > count // 20


def test_a_reader_that_fails_is_found(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials see an exception and a crash: a saboteur makes the readers do both in turn."""
    sabotage = samples / "sitecustomize.py"
    sabotage.write_text(
        "import os\n"
        "import napari_ulm3d.io.open.acquisition as opening\n"
        "whole, calls = opening.describe, []\n"
        "def describe(path, config):\n"
        "    calls.append(path)\n"
        "    if len(calls) == 3: raise KeyError('x')\n"  # the two samples come first
        "    if len(calls) == 4: os.abort()\n"
        "    return whole(path, config)\n"
        "opening.describe = describe\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(samples))
    (tally,) = try_readers(samples, ["NumPy .npy"], 6)
    sabotage.unlink()
    assert tally.tried == 6
    assert tally.counts == {"raised": 3, "crashed": 3}
    assert "KeyError('x')" in tally.faults[0]


def test_the_same_seed_is_the_same_damage() -> None:
    files = {"a": bytes(range(256)) * 8, "b": b'{"shape": [1, 2]}'}
    for number in range(50):
        once, again = mutate(files, str(number)), mutate(files, str(number))
        assert once == again
        assert once[0] != files
