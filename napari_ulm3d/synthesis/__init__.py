"""Analysis by synthesis: localized bubbles must explain the frames.

The proposals of a localizer are fitted jointly to the IQ data, with the image of a
bubble measured in these data (`image`). Positions along tracks constrain each other, so
bubbles remain separated while they pass each other (`chaining`, `kernels`). Tracks are
extended beyond their ends, and maxima of the residual become bubbles (`proposals`); bubbles
that explain nothing are dropped (`selection`).
"""

from __future__ import annotations

from napari_ulm3d.synthesis.refine import Synthesis, refine_localizations

__all__ = ["Synthesis", "refine_localizations"]
