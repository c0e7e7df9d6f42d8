"""Services: engines, the sandbox and other processes, opened when first needed.

In: the specs of a step. Out: what answers a call. Shown by: `python -m pytest tests/synth`.
Limit: engines stay open in a worker until a step needs others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError, nearest
from gristmill.ids import canonical_json
from gristmill.resident import on_release
from synth.calls import Engine, Service
from synth.engines.spec import EngineSpec


@dataclass(slots=True)
class Opened:
    """An engine, and whether its weights are loaded."""

    engine: Engine
    started: bool = False

    def start(self) -> None:
        """Load the weights."""
        self.engine.start()
        self.started = True


_OPEN: dict[str, Opened] = {}  # engines of this process, by all their settings
_LOCK = threading.Lock()


def close_idle() -> None:
    """Give up the engines that a finished step left open."""
    with _LOCK:
        while _OPEN:
            _OPEN.popitem()[1].engine.close()


on_release(close_idle)


class Services:
    """What one step's calls may ask."""

    def __init__(
        self,
        engines: Mapping[str, EngineSpec],
        shared: bool = True,
        processes: int | None = None,
        digests: Path | None = None,
    ) -> None:
        """Open nothing yet.

        shared: engines of equal settings that another step left open are used again.
        digests: where digests of weights are remembered, so that they are read once.
        """
        self._digests = digests
        self.specs = dict(engines)
        self._held: dict[str, Opened] = _OPEN if shared else {}
        self._others: dict[str, Service] = {}
        self._processes = processes
        wanted = {_settings(spec) for spec in self.specs.values()}
        with _LOCK:
            for settings in [known for known in self._held if known not in wanted]:
                self._held.pop(settings).engine.close()

    def engine(self, name: str) -> Opened:
        """The engine of a name, without its weights."""
        spec = self.specs.get(name)
        if spec is None:
            raise RecipeError(f"there is no engine {name!r}{nearest(name, self.specs)}")
        settings = _settings(spec)
        with _LOCK:
            if settings not in self._held:
                engine = spec.open()
                if hasattr(engine, "digests"):  # of weights on this machine
                    engine.digests = self._digests
                self._held[settings] = Opened(engine)
            return self._held[settings]

    def other(self, name: str) -> Service:
        """`sandbox` or `work`."""
        if name not in self._others:
            if name == "sandbox":
                from synth.sandbox.pool import SandboxPool

                self._others[name] = SandboxPool()
            else:
                from synth.driving.pool import WorkPool

                self._others[name] = WorkPool(self._processes)
        return self._others[name]

    def put(self, name: str, service: Any) -> None:
        """Use a service of the caller's own as `sandbox` or `work`."""
        self._others[name] = service

    def close(self) -> None:
        """Close all, engines too."""
        for service in self._others.values():
            service.close()
        self._others = {}
        with _LOCK:
            for settings in {_settings(spec) for spec in self.specs.values()}:
                if settings in self._held:
                    self._held.pop(settings).engine.close()


def _settings(spec: EngineSpec) -> str:
    return canonical_json([spec.NAME, spec.model_dump(mode="json")])
