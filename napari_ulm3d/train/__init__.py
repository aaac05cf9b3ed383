"""Training: simulated data on the fly, losses, and a loop that stops and goes on exactly."""

from __future__ import annotations
