"""OME-Zarr images in a store: their location, axes, scale and channels.

An image is a group with multiscales. It is the store itself, or one of the numbered groups
of a bioformats2raw conversion (https://ngff.openmicroscopy.org).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.units import to_seconds, to_um
from napari_ulm3d.io.stored.choosing import natural_key

if TYPE_CHECKING:
    import zarr

__all__ = ["Image", "images_of", "sole_image"]

Lengths = tuple[float | None, ...]
_TYPES = {"time": "t", "channel": "c"}


@dataclass(frozen=True)
class Image:
    """An image in a store.

    Parameters
    ----------
    group
        Path of its group; "" for the store itself.
    multiscale, channels
        As given in its attributes.
    """

    group: str
    multiscale: dict[str, Any]
    channels: tuple[str, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """Paths of its arrays in the store, finest first."""
        paths = (str(d["path"]) for d in self.multiscale["datasets"])
        return tuple(f"{self.group}/{p}" if self.group else p for p in paths)

    def names(self, path: Path, shape: tuple[int, ...]) -> list[str | None]:
        """Names of the axes; an axis with an unknown name is identified by its type."""
        entries = [
            a if isinstance(a, dict) else {"name": a} for a in self.multiscale.get("axes", ())
        ]
        if len(entries) != len(shape):
            raise InputError(
                path,
                f"names {len(entries)} axes for the shape {shape}",
                "Correct its multiscales attribute.",
            )
        return [_TYPES.get(str(a.get("type")), str(a.get("name", ""))) for a in entries]

    def unused(self, array: str) -> list[str]:
        """Notes on scales that lack a unit or have one that is not understood."""
        level = self.multiscale["datasets"][self.levels.index(array)]
        scales = [
            t["scale"]
            for t in (
                *level.get("coordinateTransformations", ()),
                *self.multiscale.get("coordinateTransformations", ()),
            )
            if t.get("type") == "scale"
        ]
        notes = []
        for i, axis in enumerate(self.multiscale.get("axes", ())):
            named = axis if isinstance(axis, dict) else {"name": axis}
            scale = float(np.prod([each[i] for each in scales]))
            unit = str(named.get("unit", ""))
            if named.get("type") == "channel" or scale == 1 or to_um(unit) or to_seconds(unit):
                continue
            said = f"the unit '{unit}', which is not understood," if unit else "no unit"
            notes.append(
                f"The scale of axis {named.get('name')} ({scale:g}) has {said} and was not used."
            )
        return notes

    def lengths(self, array: str, n: int) -> tuple[float | None, Lengths, Lengths]:
        """Rate, spacing and first position of each axis for one of its arrays."""
        level = self.multiscale["datasets"][self.levels.index(array)]
        scale, shift = np.ones(n), np.zeros(n)
        for transform in (
            *level.get("coordinateTransformations", ()),
            *self.multiscale.get("coordinateTransformations", ()),
        ):
            if transform.get("type") == "scale":
                scale, shift = scale * transform["scale"], shift * transform["scale"]
            elif transform.get("type") == "translation":
                shift = shift + transform["translation"]
        rate = None
        spacing: list[float | None] = [None] * n
        first: list[float | None] = [None] * n
        for i, axis in enumerate(self.multiscale.get("axes", ())):
            unit = str(axis.get("unit", "")) if isinstance(axis, dict) else ""
            if (um := to_um(unit)) is not None:
                spacing[i], first[i] = float(scale[i] * um), float(shift[i] * um)
            elif (seconds := to_seconds(unit)) and scale[i] > 0:
                rate = 1 / (float(scale[i]) * seconds)
        return rate, tuple(spacing), tuple(first)


def images_of(root: zarr.Group | zarr.Array[Any]) -> list[Image]:
    """All images of a store, in numerical order."""
    import zarr

    found = [_image("", dict(root.attrs))]
    # Images do not contain images, so only the groups of a collection are searched.
    if found == [None] and isinstance(root, zarr.Group):
        groups = [(n, g) for n, g in root.members(max_depth=3) if isinstance(g, zarr.Group)]
        for name, group in sorted(groups, key=lambda item: natural_key(item[0])):
            found.append(_image(name, dict(group.attrs)))
    return [image for image in found if image is not None]


def _image(group: str, attributes: dict[str, Any]) -> Image | None:
    """The first image in the attributes, as stored by version 0.5 or 0.4."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    if not isinstance(images, list) or not images or not images[0].get("datasets"):
        return None
    channels = (ome.get("omero") or attributes.get("omero") or {}).get("channels") or ()
    return Image(group, dict(images[0]), tuple(str(c.get("label", "")) for c in channels))


def sole_image(path: Path, images: list[Image], wanted: str | None) -> tuple[Image, str] | None:
    """The image to read and the name of its array; None if an array has to be chosen.

    Raises
    ------
    InputError
        There are several images and none is named.
    """
    for image in images:
        if wanted is not None and wanted.strip("/") in (image.group, *image.levels):
            if wanted.strip("/") in image.levels:
                return image, wanted.strip("/")
            return image, image.levels[0]
    if wanted is not None or not images:
        return None
    if len(images) > 1:
        names = ", ".join(image.group for image in images[:12])
        raise InputError(
            path,
            f"contains {len(images)} images: {names}",
            f"Name one with --variable, such as --variable {images[0].group}.",
        )
    return images[0], images[0].levels[0]
