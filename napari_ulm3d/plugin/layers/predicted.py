"""A refined map as layers: the prediction in a hue of its own over the measured map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.plugin.layers.convert import LayerData, map_layer
from napari_ulm3d.plugin.layers.place import make_layer

if TYPE_CHECKING:
    from napari_ulm3d.refinement import RefinedMap

__all__ = ["KINDS", "MEASURED", "PREDICTED", "predicted_layers", "show_from"]

#: Layer roles.
MEASURED, PREDICTED, KINDS = "refined: measured", "refined: predicted", "refined: kinds"

#: Metadata key that marks predicted layers.
PREDICTION = "ulm3d_predicted"

_ORANGE = ((0.55, 0.2, 0.0, 1.0), (1.0, 0.6, 0.1, 1.0))
_OF_KIND: dict[int | None, str] = {1: "#ff4d4d", 2: "#6fdc6f", 3: "#5b8dff"}


def predicted_layers(refined: RefinedMap, *, whole: bool = True) -> tuple[Any, ...]:
    """The measured map in grey, the prediction in orange over it, and vessel kinds if available.

    Parameters
    ----------
    refined
        The refined map.
    whole
        Whether it is the whole map or a preview of a part.
    """
    said = f"predicted ({refined.task}{'' if whole else ', preview'})"
    values, settings, kind = map_layer(refined.measured)
    settings |= {"name": "measured", "colormap": "gray"}
    layers = [make_layer((values, settings, kind), MEASURED)]
    values, settings, kind = map_layer(refined.probability)
    settings |= {
        "name": f"{said}: probability",
        "colormap": _hue(),
        "contrast_limits": (refined.least, 1.0),
        "gamma": 1.0,
        "metadata": {
            **settings["metadata"],
            PREDICTION: dict(refined.probability.prediction or {}),
        },
    }
    layer = make_layer((values, settings, kind), PREDICTED)
    layer.contrast_limits_range = (0.0, 1.0)
    show_from(layer, refined.least)
    layers.append(layer)
    if refined.kind is not None:
        layers.append(make_layer(_kinds(refined, said), KINDS))
    return tuple(layers)


def show_from(layer: Any, least: float) -> None:
    """Show only voxels of at least this probability."""
    layer.contrast_limits = (min(least, 0.999), 1.0)


def _hue() -> Any:
    from napari.utils.colormaps import Colormap

    # Values below the limits are transparent, so that the measured map shows through.
    return Colormap(
        [(0.0, 0.0, 0.0, 0.0), *_ORANGE], controls=(0.0, 0.001, 1.0), name="predicted vessels"
    )


def _kinds(refined: RefinedMap, said: str) -> LayerData:
    from napari.utils.colormaps import DirectLabelColormap

    assert refined.kind is not None
    values, settings, _ = map_layer(refined.kind)
    kept = ("scale", "translate", "units", "axis_labels")
    colors: dict[int | None, str] = {None: "transparent", 0: "transparent", **_OF_KIND}
    wanted = {
        **{key: settings[key] for key in kept},
        "name": f"{said}: artery, capillary, vein",
        "colormap": DirectLabelColormap(color_dict=colors),
        "metadata": {**settings["metadata"], PREDICTION: dict(refined.kind.prediction or {})},
        "visible": False,
    }
    return values.astype(np.uint8), wanted, "labels"
