"""Provenance of a result: program, machine and input, enough to verify and repeat it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_ulm3d._version import __version__
from napari_ulm3d.acquisition import Acquisition, Block, FrameSource, source_path
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.frame_sources import JoinedSource

__all__ = ["acquisition_facts", "block_key", "fingerprint", "program_facts", "source_fingerprint"]

_SAMPLED_BYTES = 1 << 16


def program_facts() -> dict[str, Any]:
    """Version, time, Python, platform and the libraries that affect the numbers."""
    return {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in ("numpy", "scipy", "numba")},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def fingerprint(acquisition: Acquisition) -> str:
    """Hash that changes with the input or its scale, without reading all of the data."""
    digest = hashlib.sha256()
    digest.update(
        repr((acquisition.shape, acquisition.kind, acquisition.grid, acquisition.rate_hz)).encode()
    )
    for source in acquisition.sources:
        digest.update(source_fingerprint(source).encode())
    return digest.hexdigest()


def source_fingerprint(source: FrameSource) -> str:
    """Hash of one source.

    For a file: its name, size and three samples of 64 KiB (head, middle, tail), and the same for
    separate data files if it is only a header. For an array: its first and last frame. For joined
    sources: the hashes of all parts.
    """
    digest = hashlib.sha256(repr((source.shape, str(source.dtype))).encode())
    if isinstance(source, JoinedSource):
        for part in source.parts:
            digest.update(source_fingerprint(part).encode())
        return digest.hexdigest()
    path = source_path(source)
    if path is not None and path.is_dir():  # a Zarr store: names and sizes of its chunks
        for file in sorted(path.rglob("*")):
            digest.update(os.fsencode(f"{file.relative_to(path)}:{file.stat().st_size}"))
    if path is not None and path.is_file():
        _hash_file(digest, path)
        for data in getattr(source, "data_files", ()):
            _hash_file(digest, data)
    else:
        total = source.shape[0]
        digest.update(source.read(0, 1).tobytes())
        digest.update(source.read(total - 1, total).tobytes())
    return digest.hexdigest()


def _hash_file(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(os.fsencode(f"{path.name}:{size}"))
    with open(path, "rb") as file:
        for start in sorted({0, size // 2, max(size - _SAMPLED_BYTES, 0)}):
            file.seek(start)
            digest.update(file.read(_SAMPLED_BYTES))


def acquisition_facts(acquisition: Acquisition) -> dict[str, Any]:
    """The acquisition as plain values, as recorded in `run.toml`."""
    facts = {
        "name": acquisition.name,
        "files": list(
            dict.fromkeys(str(source_path(source) or source.name) for source in acquisition.sources)
        ),
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


def block_key(
    block: Block, source_hash: str, config: PipelineConfig, stages: Iterable[str], *more: str
) -> str:
    """Hash of a block's input and of the settings of the stages that processed it.

    Two runs with the same key have the same result for the block, whatever the settings of
    later stages. `source_hash` is the `source_fingerprint` of the block's source, computed once per
    source; `more` is anything else that the result depends on.
    """
    values = config.model_dump(mode="json")
    chosen = {name: values[name] for name in stages}
    facts = [
        __version__,
        source_hash,
        block.start,
        block.stop,
        block.first_frame,
    ]
    text = json.dumps([*facts, chosen, *more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
