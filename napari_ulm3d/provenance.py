"""What made a result: program, machine, input. Enough to trust it and to run it again."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_ulm3d import __version__
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig

__all__ = ["acquisition_facts", "fingerprint", "program_facts", "stage_key"]

_SAMPLED_BYTES = 1 << 16


def program_facts() -> dict[str, Any]:
    """Version, time, Python, platform and the libraries that numbers depend on."""
    return {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in ("numpy", "scipy", "numba")},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def fingerprint(acquisition: Acquisition) -> str:
    """A hash that changes when the input does, without reading all of it.

    Of each file: its size and three samples of 64 KiB (head, middle, tail). Sources
    that are no files (arrays) count with their first and last frame.
    """
    digest = hashlib.sha256()
    digest.update(repr((acquisition.shape, acquisition.kind, acquisition.grid, acquisition.rate_hz)).encode())
    seen: set[str] = set()
    for source in acquisition.sources:
        path = Path(source.name)
        if path.is_file():
            if source.name not in seen:
                seen.add(source.name)
                _hash_file(digest, path)
        else:
            total = source.shape[0]
            digest.update(source.read(0, 1).tobytes())
            digest.update(source.read(total - 1, total).tobytes())
    return digest.hexdigest()


def _hash_file(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{path.name}:{size}".encode())
    with open(path, "rb") as file:
        for start in sorted({0, size // 2, max(size - _SAMPLED_BYTES, 0)}):
            file.seek(start)
            digest.update(file.read(_SAMPLED_BYTES))


def acquisition_facts(acquisition: Acquisition) -> dict[str, Any]:
    """The acquisition as plain values: what `run.toml` says of the input."""
    facts = {
        "name": acquisition.name,
        "files": list(dict.fromkeys(source.name for source in acquisition.sources)),
        "kind": acquisition.kind,
        "n_frames": acquisition.n_frames,
        "shape": list(acquisition.grid.shape),
        "voxel_um": list(acquisition.grid.spacing_um),
        "origin_um": list(acquisition.grid.origin_um),
        "rate_hz": acquisition.rate_hz,
        "wavelength_um": acquisition.wavelength_um,
        "frequency_hz": acquisition.frequency_hz,
        "sound_speed_m_s": acquisition.sound_speed_m_s,
        "notes": list(acquisition.notes),
        "fingerprint": fingerprint(acquisition),
    }
    return {key: value for key, value in facts.items() if value is not None}


def stage_key(input_fingerprint: str, config: PipelineConfig, stages: Iterable[str]) -> str:
    """A hash of the input and of the named sections of the settings.

    Two runs with the same key have the same intermediate results, whatever the
    sections that come later say.
    """
    values = config.model_dump(mode="json")
    chosen = {name: values[name] for name in stages}
    text = json.dumps([__version__, input_fingerprint, chosen], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
