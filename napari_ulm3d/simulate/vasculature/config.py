"""Settings of a grown piece of cortex."""

from __future__ import annotations

from napari_ulm3d.config import StageConfig, setting

__all__ = ["VasculatureConfig"]


class VasculatureConfig(StageConfig):
    """A grown piece of cortex."""

    capillary_spacing_um: float | None = setting(
        None,
        "Distance between nodes of the capillary mesh. None: about 6000 nodes, at least 60 um.",
        "um",
        gt=0,
    )
    supply_ratio: float = setting(
        1.8, "Distance between the ends of a tree, relative to the capillary spacing.", ge=1
    )
    penetrator_spacing_um: float | None = setting(
        None, "Distance between penetrating vessels. None: from the capillary spacing.", "um", gt=0
    )
    artery_share: float = setting(
        0.4, "Fraction of arteries among the penetrating vessels.", gt=0, lt=1
    )
    feeding_vessels: int = setting(
        3, "Number of arteries that enter and of veins that leave.", ge=1, le=64
    )
    arteriole_radius_um: float = setting(4.0, "Radius of the arteries at their ends.", "um", gt=0)
    venule_radius_um: float = setting(5.0, "Radius of the veins at their ends.", "um", gt=0)
    capillary_radius_um: float = setting(3.0, "Mean radius of the capillaries.", "um", gt=0)
    murray_exponent: float = setting(
        3.0, "Exponent m such that r^m is conserved at bifurcations.", ge=2, le=4
    )
    tortuosity: float = setting(
        0.06,
        "Tortuosity of the vessels as a fraction of their length (capillaries: twice this).",
        ge=0,
        le=0.5,
    )
    step_um: float | None = setting(
        None,
        "Length of a straight segment. None: a sixth of the capillary spacing.",
        "um",
        gt=0,
    )
