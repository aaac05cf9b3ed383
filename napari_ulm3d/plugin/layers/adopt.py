"""Layers made elsewhere as an acquisition, tracks or localizations, using their scale and units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Grid, Triple
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.frame_sources import ArraySource
from napari_ulm3d.io.formats.tables.velocities import with_velocities
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import EARLIER, ROLE
from napari_ulm3d.tables import POSITION_UM, Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = [
    "acquisition_of_layer",
    "can_be_adopted",
    "localizations_of_layer",
    "rate_of_layer",
    "tracks_of_layer",
]

_SPACE = "zyx"
_UNKNOWN = ("pixel", "dimensionless")


def can_be_adopted(layer: Any) -> bool:
    """Whether a layer could be frames, points or tracks, and the plugin did not make it."""
    from napari.layers import Image, Points
    from napari.layers import Tracks as TracksLayer

    ours = ROLE in layer.metadata or EARLIER in layer.metadata
    # Tables have no role when they are opened from a file, and they may be used.
    if ours or any(value_of(layer, kind) is not None for kind in (Acquisition, VesselMap)):
        return False
    if isinstance(layer, Image):
        return not layer.rgb and layer.ndim in (3, 4)
    return isinstance(layer, Points | TracksLayer) and layer.ndim in (3, 4)


def acquisition_of_layer(layer: Any, load: LoadConfig | None = None) -> Acquisition:
    """The frames of an Image layer (t, z, y, x), or (t, z, x) in 2-D, read lazily.

    Axes may stand in another order where the layer's axis labels are the letters t, z, y, x.

    Parameters
    ----------
    layer
        Layer with units of time and length; if they are pixels, `load` must give the scale.
    load
        Values that override the layer's: voxel size, frame rate, origin, wavelength or frequency.

    Raises
    ------
    ConfigError
        Frame rate or voxel size is unknown, the layer is rotated or sheared, or it holds negative
        numbers, which cannot be amplitudes.
    """
    load = load or LoadConfig()
    axes = _axes_of(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    order = [axes.index(letter) for letter in "tzyx" if letter in axes]
    frames = data if order == sorted(order) else data.transpose(order)
    if "y" not in axes:
        frames = frames[:, :, None, :]
    first = np.asarray(frames[0])
    if not np.iscomplexobj(first) and first.min(initial=0) < 0:
        raise ConfigError(
            f"The layer '{layer.name}' holds negative numbers, so it is not an amplitude. Add the "
            "magnitude of the IQ data, not decibels; open complex IQ from its file."
        )
    steps, start = _steps(layer, axes)
    voxel, rate_hz = load.voxel_um, load.rate_hz or _rate(steps["t"], layer, axes)
    if voxel is None:
        z, x = _um(steps["z"], layer, axes, "z"), _um(steps["x"], layer, axes, "x")
        y = x if "y" not in axes else _um(steps["y"], layer, axes, "y")
        known = z is not None and y is not None and x is not None
        voxel = (z, y, x) if known else None  # type: ignore[assignment]
    lacking = [
        label for label, value in (("Voxel size", voxel), ("Frame rate", rate_hz)) if value is None
    ]
    if voxel is None or rate_hz is None:
        raise ConfigError(
            f"The layer '{layer.name}' has no units for its axes. Fill in "
            f"{' and '.join(lacking)} below, or set the layer's scale and units."
        )
    origin = load.origin_um or _origin(start, layer, axes)
    wavelength = load.wavelength_um
    if wavelength is None and load.frequency_hz and load.sound_speed_m_s:
        wavelength = load.sound_speed_m_s / load.frequency_hz * 1e6
    source = ArraySource(frames, layer.name)
    return Acquisition(
        sources=(source,),
        grid=Grid(source.shape[1:], voxel, origin),
        rate_hz=rate_hz,
        kind="iq" if source.dtype.kind == "c" else "envelope",
        wavelength_um=wavelength,
        frequency_hz=load.frequency_hz,
        sound_speed_m_s=load.sound_speed_m_s,
        name=layer.name,
        notes=(f"Taken from the layer '{layer.name}'.",),
    )


def rate_of_layer(layer: Any, load: LoadConfig | None = None) -> float:
    """Frame rate of a Points or Tracks layer, in which one step in time is a frame.

    Raises
    ------
    ConfigError
        Its first axis is not time, and `load` gives no frame rate.
    """
    axes = _axes_of(layer)
    rate_hz = (load.rate_hz if load else None) or _rate(_steps(layer, axes)[0]["t"], layer, axes)
    if rate_hz is None:
        raise ConfigError(
            f"The layer '{layer.name}' has no unit of time. Fill in Frame rate below, or set the "
            "layer's scale and units."
        )
    return rate_hz


def tracks_of_layer(layer: Any, load: LoadConfig | None = None) -> Tracks:
    """The tracks of a Tracks layer (track, t, z, y, x); missing velocities are derived.

    Raises
    ------
    ConfigError
        Times or positions have no unit, and `load` does not give the scale.
    """
    value = layer.metadata.get("ulm3d")
    if isinstance(value, Tracks):
        return value
    rows = np.asarray(layer.data, np.float64)
    table = _table(layer, rows[:, 1:], load).assign(track_id=rows[:, 0].astype(np.int64))
    features = layer.features.reset_index(drop=True)
    known = [name for name in (*Tracks.required, "score") if name in features]
    more = {name: features[name].to_numpy() for name in known if name not in table}
    table = with_velocities(table.assign(**more), layer.name)
    return Tracks(table.sort_values(["track_id", "frame"], kind="stable", ignore_index=True))


def localizations_of_layer(layer: Any, load: LoadConfig | None = None) -> Localizations:
    """The points of a Points layer (t, z, y, x); a score or SNR is taken from its features.

    Raises
    ------
    ConfigError
        Times or positions have no unit, and `load` does not give the scale.
    """
    value = layer.metadata.get("ulm3d")
    if isinstance(value, Localizations):
        return value
    table = _table(layer, np.asarray(layer.data, np.float64), load)
    features = layer.features.reset_index(drop=True)
    for name, otherwise in (("snr_db", 0.0), ("score", 1.0)):
        table[name] = features[name].to_numpy() if name in features else otherwise
    return Localizations(table.sort_values("frame", kind="stable", ignore_index=True))


# --- axes, steps and units ---------------------------------------------------------------------


def _axes_of(layer: Any) -> str:
    """The letters of a layer's axes: t z y x or t z x, unless its labels say otherwise."""
    labels = [str(label).lower()[:1] for label in layer.axis_labels]
    plain = "tzyx" if layer.ndim == 4 else "tzx"
    named = set(labels) == set(plain) or (layer.ndim == 3 and set(labels) == set("tyx"))
    if not named:
        return plain
    # The rows and columns of a plane are depth and lateral position.
    return "".join("z" if layer.ndim == 3 and label == "y" else label for label in labels)


def _steps(layer: Any, axes: str) -> tuple[dict[str, float], dict[str, float]]:
    """World step and origin along each axis, in the layer's units."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))[-layer.ndim :]
    ends = [layer.data_to_world(unit) for unit in np.eye(layer.ndim)]
    matrix = np.array([np.asarray(end)[-layer.ndim :] - origin for end in ends])
    along = np.diag(matrix)
    if np.abs(matrix - np.diag(along)).max() > 1e-6 * np.abs(along).max() or (along <= 0).any():
        raise ConfigError(
            f"The layer '{layer.name}' is rotated, sheared or mirrored. Resample it to a straight "
            "grid first, or remove its rotation and shear."
        )
    steps = dict(zip(axes, along.tolist(), strict=True))
    return steps, dict(zip(axes, origin.tolist(), strict=True))


def _in(unit: Any, wanted: str) -> float | None:
    """A layer's unit in the wanted unit; None if it has another dimension."""
    if str(unit) in _UNKNOWN:
        return None
    try:
        return float((1 * unit).to(wanted).magnitude)
    except TypeError:  # pint: incompatible dimension
        return None


def _um(value: float, layer: Any, axes: str, letter: str) -> float | None:
    factor = _in(layer.units[axes.index(letter)], "micrometer")
    return None if factor is None else value * factor


def _rate(step: float, layer: Any, axes: str) -> float | None:
    seconds = _in(layer.units[axes.index("t")], "second")
    return None if seconds is None else 1 / (step * seconds)


def _origin(start: dict[str, float], layer: Any, axes: str) -> Triple:
    z, y, x = (
        (_um(start[letter], layer, axes, letter) or 0.0) if letter in axes else 0.0
        for letter in _SPACE
    )
    return (z, y, x)


def _table(layer: Any, rows: NDArray[np.float64], load: LoadConfig | None) -> pd.DataFrame:
    """Frame, time and position of rows (t, z, y, x) or (t, z, x) in a layer's data coordinates."""
    axes = _axes_of(layer)
    rate_hz = rate_of_layer(layer, load)
    steps, start = _steps(layer, axes)
    columns = {letter: rows[:, k] for k, letter in enumerate(axes)}
    voxel = load.voxel_um if load is not None else None
    table = {"frame": np.rint(columns["t"]).astype(np.int64), "time_s": columns["t"] / rate_hz}
    for k, (letter, name) in enumerate(zip(_SPACE, POSITION_UM, strict=True)):
        if letter not in axes:
            table[name] = np.zeros(len(rows))
            continue
        factor = _in(layer.units[axes.index(letter)], "micrometer")
        if factor is not None:
            table[name] = (columns[letter] * steps[letter] + start[letter]) * factor
        elif voxel is not None:
            table[name] = columns[letter] * voxel[k]
        else:
            raise ConfigError(
                f"The layer '{layer.name}' has no unit of length. Fill in Voxel size below, or set "
                "the layer's scale and units."
            )
    return pd.DataFrame(table)
