"""Manual edits of the tracks of a run, stored as a list next to the run.

The linked tracks are not changed; the edits are applied in order whenever the tracks are read, so
that each can be undone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.tables import Tracks

__all__ = ["EDITS_NAME", "Edit", "apply_edits", "edited_result", "read_edits", "write_edits"]

EDITS_NAME = "edits.json"

_FEWEST_POINTS = 2


@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes
    ----------
    kind
        "delete": remove tracks. "merge": join two or more consecutive tracks into one, which keeps
        the number of the first in the list. "split": cut a track before `frame`; the later part
        gets the next free number. "verify": mark tracks as checked, in the column `verified`.
    tracks
        Their `track_id` at the time when the edit is applied.
    frame
        For "split": the first frame of the later part.
    """

    kind: Literal["delete", "merge", "split", "verify"]
    tracks: tuple[int, ...]
    frame: int | None = None

    def __post_init__(self) -> None:
        least = {"merge": 2}.get(self.kind, 1)
        if self.kind not in ("delete", "merge", "split", "verify"):
            raise ConfigError(f"An edit deletes, merges, splits or verifies, not '{self.kind}'.")
        if len(set(self.tracks)) < least or (self.kind == "split" and len(self.tracks) != 1):
            wanted = {"merge": "two tracks or more", "split": "one track"}.get(self.kind, "a track")
            raise ConfigError(f"To {self.kind}, choose {wanted}.")
        if (self.frame is None) == (self.kind == "split"):
            raise ConfigError("A split needs a frame, and no other edit takes one.")


def apply_edits(tracks: Tracks, edits: Sequence[Edit]) -> Tracks:
    """The tracks after all edits, sorted by track and frame.

    Raises
    ------
    ConfigError
        An edit names a track that is not there, merges tracks that overlap in time, or would
        leave a part of fewer than two points.
    """
    table = tracks.table
    for edit in edits:
        table = _applied(table, edit)
    return tracks if table is tracks.table else Tracks(table)


def read_edits(folder: Path) -> tuple[Edit, ...]:
    """The edits of a results folder; empty if there are none.

    Raises
    ------
    ResultsError
        The file of edits cannot be read.
    """
    return tuple(
        Edit(entry["kind"], tuple(int(k) for k in entry["tracks"]), entry.get("frame"))
        for entry in _content(folder).get("edits", [])
    )


def edited_result(folder: Path) -> dict[str, Any]:
    """The numbers of the run changed by the edits, by their names in `run.toml`."""
    return dict(_content(folder).get("result", {}))


def write_edits(folder: Path, edits: Sequence[Edit], result: dict[str, Any]) -> None:
    """Replace the edits of a results folder, and store the numbers of the run that they changed."""
    entries = [
        {"kind": edit.kind, "tracks": list(edit.tracks)}
        | ({} if edit.frame is None else {"frame": edit.frame})
        for edit in edits
    ]
    with atomic_path(folder / EDITS_NAME) as path:
        path.write_text(json.dumps({"edits": entries, "result": result}, indent=1))


def _content(folder: Path) -> dict[str, Any]:
    path = folder / EDITS_NAME
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a table of edits")
        for entry in content.get("edits", []):
            Edit(entry["kind"], tuple(int(k) for k in entry["tracks"]), entry.get("frame"))
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise ResultsError(
            f"{path}: cannot be read ({error}). Delete it to have the tracks as they were linked."
        ) from error
    return content


def _applied(table: pd.DataFrame, edit: Edit) -> pd.DataFrame:
    identity = table["track_id"].to_numpy()
    absent = sorted(set(edit.tracks) - set(np.unique(identity).tolist()))
    if absent:
        raise ConfigError(f"There is no track {absent[0]} to {edit.kind}.")
    chosen = np.isin(identity, edit.tracks)
    if edit.kind == "delete":
        return table[~chosen].reset_index(drop=True)
    if edit.kind == "verify":
        before = (
            table["verified"].to_numpy(bool) if "verified" in table else np.zeros(len(table), bool)
        )
        return table.assign(verified=before | chosen)
    if edit.kind == "merge":
        frames = table["frame"].to_numpy()[chosen]
        ends = table[chosen].groupby("track_id")["frame"].agg(["min", "max"]).sort_values("min")
        if (
            np.unique(frames).size != frames.size
            or (ends["min"].to_numpy()[1:] <= ends["max"].to_numpy()[:-1]).any()
        ):
            raise ConfigError(
                "Tracks that overlap in time are different bubbles; merge those that follow each other."
            )
        numbers = np.where(chosen, edit.tracks[0], identity)
    else:
        later = chosen & (table["frame"].to_numpy() >= edit.frame)
        if min(int(later.sum()), int(chosen.sum() - later.sum())) < _FEWEST_POINTS:
            raise ConfigError(
                f"Track {edit.tracks[0]} cannot be split at frame {edit.frame}: both parts need "
                f"{_FEWEST_POINTS} points or more."
            )
        numbers = np.where(later, identity.max() + 1, identity)
    table = table.assign(track_id=numbers)
    return table.sort_values(["track_id", "frame"], kind="stable", ignore_index=True)
