"""The sandbox: where model-written programs run, and the only place where they do."""

from synth.sandbox.available import SandboxError, available
from synth.sandbox.limits import Limits, Outcome
from synth.sandbox.pool import SandboxPool
from synth.sandbox.run import run

__all__ = ["Limits", "Outcome", "SandboxError", "SandboxPool", "available", "run"]
