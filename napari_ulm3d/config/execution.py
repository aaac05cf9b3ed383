"""Where a run's blocks are processed, and with how much memory. Results do not depend on this.

These settings are therefore not part of `PipelineConfig`, which determines the result. If a
memory limit requires shorter blocks, which do affect the result, the block length is recorded in
the run's `PipelineConfig`, so that the run can be repeated without the limit.
"""

from __future__ import annotations

import re
from typing import Self

from pydantic import field_validator, model_validator

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["Execution", "parse_bytes"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class Execution(StageConfig):
    """Where blocks are processed: in this process, by workers on this computer, or on a cluster.

    On the command line these are separate flags (``--workers 4``), in Python an argument of `run`.
    `run.toml` does not record them because no result depends on them; it does record shorter blocks
    that a memory limit required. Workers are processes, so a Python script that uses them must put
    its own work under ``if __name__ == "__main__":``.
    """

    workers: int | None = setting(
        None,
        "Number of blocks processed in parallel, each in its own process on this "
        "computer. The result does not depend on it. None: one block at a time, in this "
        "process.",
        ge=1,
    )
    scheduler: str | None = setting(
        None,
        "Address of a running Dask cluster: tcp://host:8786 or tls://host:8786. Its "
        "workers must see the files under the same paths.",
    )
    tls_ca: str | None = setting(
        None, "For tls://: certificate authority file that signed the cluster's certificates."
    )
    tls_cert: str | None = setting(None, "For tls://: your certificate file.")
    tls_key: str | None = setting(None, "For tls://: your private key file.")
    memory: str | None = setting(
        None,
        "Memory limit of the run, all workers included, such as 8GB. Blocks that do not "
        "fit are split. With a scheduler: limit of each worker.",
    )

    @field_validator("scheduler")
    @classmethod
    def _address(cls, scheduler: str | None) -> str | None:
        if scheduler is not None and not re.fullmatch(r"(tcp|tls)://\S+:\d+/?", scheduler):
            raise ValueError(f"scheduler '{scheduler}' must be tcp://host:port or tls://host:port")
        return scheduler

    @field_validator("memory")
    @classmethod
    def _bytes(cls, memory: str | None) -> str | None:
        if memory is not None:
            parse_bytes(memory)
        return memory

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.workers is not None and self.scheduler is not None:
            raise ValueError("give either workers (on this computer) or a scheduler, not both")
        files = {"tls_ca": self.tls_ca, "tls_cert": self.tls_cert, "tls_key": self.tls_key}
        if self.scheduler is not None and self.scheduler.startswith("tls://"):
            missing = [name for name, file in files.items() if file is None]
            if missing:
                raise ValueError(f"a tls:// scheduler also needs {', '.join(missing)}")
        elif any(files.values()):
            raise ValueError("tls_ca, tls_cert and tls_key need a tls:// scheduler")
        return self

    @property
    def parallel(self) -> bool:
        """Whether other processes process the blocks."""
        return self.workers is not None or self.scheduler is not None

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else parse_bytes(self.memory)


def parse_bytes(text: str) -> int:
    """Convert an amount of memory such as ``8GB``, ``500 MB``, ``1.5GiB`` to bytes.

    Raises
    ------
    ValueError
        The text is not an amount of memory, or the amount is zero.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMGT]?)(I?)B?\s*", text.upper())
    if not found or (found[3] and not found[2]) or not float(found[1]):
        raise ValueError(f"'{text}' is not an amount of memory; give one such as 8GB or 500MB")
    units = _BINARY_UNITS if found[3] else _UNITS
    return int(float(found[1]) * units[found[2]])
