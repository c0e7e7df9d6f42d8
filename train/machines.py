"""Machines that a forecast is made for: their devices, speed and memory.

In: `run: {machine: h100x8}`, or this machine. Out: Machine; RecipeError with the nearest name.
Shown by: `gristmill plan`. Limit: train/machines.yaml lists them; this one's GPUs are found where
Linux names NVIDIA's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gristmill.errors import RecipeError, nearest

_DRIVER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Machine:
    """Devices of one kind; of a CPU a device is a core."""

    name: str
    devices: int
    peak: float  # FLOP/s of a device
    memory: float  # bytes of a device
    mfu: float  # part of the peak that is reached
    gpu: bool

    def hours(self, flops: float) -> float:
        """Device hours."""
        return flops / (self.peak * self.mfu) / 3600


@cache
def _known() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((Path(__file__).parent / "machines.yaml").read_text())
    number = ("peak", "memory")
    return {
        name: {**entry, **{key: float(entry[key]) for key in number}}
        for name, entry in found.items()
    }


def machine(name: str | None) -> Machine:
    """The machine of a name, or this one."""
    if name is None:
        return _here()
    if name not in _known():
        raise RecipeError(f"run.machine is {name!r}{nearest(name, _known())}")
    return _made(name, _known()[name], name)


def _here() -> Machine:
    gpus = sorted(_DRIVER.glob("*/information")) if _DRIVER.is_dir() else []
    if gpus:
        told = gpus[0].read_text()
        for entry in _known().values():
            if entry.get("model") and entry["model"] in told:
                return _made(f"this machine ({entry['model']})", {**entry, "devices": len(gpus)})
    return _made("this machine (cpu)", _known()["cpu"], "cpu")


def _made(name: str, entry: dict[str, Any], key: str = "") -> Machine:
    gpu = key != "cpu"
    devices = entry["devices"] or os.cpu_count() or 1
    return Machine(name, devices, entry["peak"], entry["memory"], entry["mfu"], gpu)
