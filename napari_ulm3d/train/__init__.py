"""Training: simulated data on the fly, losses, and a loop that resumes reproducibly."""

from __future__ import annotations
