"""The settings of a grown piece of cortex."""

from __future__ import annotations

from napari_ulm3d.config import StageConfig, setting

__all__ = ["VasculatureConfig"]


class VasculatureConfig(StageConfig):
    """A grown piece of cortex."""

    capillary_spacing_um: float | None = setting(
        None,
        "Distance between nodes of the capillary mesh (none: about 6000 nodes, at least 60 um).",
        "um",
        gt=0,
    )
    supply_ratio: float = setting(
        1.8, "Distance between ends of a tree, over the capillaries' spacing.", ge=1
    )
    penetrator_spacing_um: float | None = setting(
        None, "Distance between vessels that dive (none: as suits the capillaries).", "um", gt=0
    )
    artery_share: float = setting(0.4, "Share of arteries among those that dive.", gt=0, lt=1)
    feeding_vessels: int = setting(3, "Arteries that enter, and veins that leave.", ge=1, le=64)
    arteriole_radius_um: float = setting(4.0, "Radius of the arteries' ends.", "um", gt=0)
    venule_radius_um: float = setting(5.0, "Radius of the veins' ends.", "um", gt=0)
    capillary_radius_um: float = setting(3.0, "Mean radius of capillaries.", "um", gt=0)
    murray_exponent: float = setting(3.0, "r^m is conserved at bifurcations.", ge=2, le=4)
    tortuosity: float = setting(
        0.06, "Sway of vessels as a share of their length (capillaries twice).", ge=0, le=0.5
    )
    step_um: float | None = setting(
        None,
        "Length of a straight segment (none: a sixth of the capillaries' spacing).",
        "um",
        gt=0,
    )
