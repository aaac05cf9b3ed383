"""Analysis by synthesis: the bubbles that were found must explain the frames.

What a localizer proposes is fitted to the IQ data, all bubbles together, with the image of a
bubble as it was measured in these data (`image`). Along tracks the places hold each other, so
that bubbles are told apart while they pass one another (`chaining`, `kernels`). Tracks are
continued past their ends and maxima of what is left over become bubbles (`proposals`); those
that explain nothing are dropped (`selection`).
"""

from __future__ import annotations

from napari_ulm3d.synthesis.refine import Synthesis, refine_localizations

__all__ = ["Synthesis", "refine_localizations"]
