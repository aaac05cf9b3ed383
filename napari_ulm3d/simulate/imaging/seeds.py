"""Random numbers that depend only on the seed, the purpose and the frame."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["Purpose", "generator", "log_uniform"]


class Purpose(IntEnum):
    """Purpose of random numbers; each purpose has its own independent stream."""

    NOISE = 1
    TISSUE = 2
    MOTION = 3
    AMPLITUDE = 4
    BUBBLES = 5
    NETWORK = 6
    SETTINGS = 7
    CROWD = 8
    WORLD = 9
    IMAGE = 10
    PLANE = 11


def generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """An independent generator for a purpose and, for example, a frame number.

    The same arguments give the same numbers in any order and on any thread (NumPy's SFC64,
    seeded by hashing all arguments with `numpy.random.SeedSequence`).
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, int(purpose), *key))))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number between two bounds, uniform in the logarithm."""
    return float(np.exp(rng.uniform(*np.log(bounds))))
