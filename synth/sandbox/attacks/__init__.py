"""Programs that attack the sandbox, for its tests and for users who want to see theirs hold."""

from synth.sandbox.attacks.outside import ATTACKS, Result, attack

__all__ = ["ATTACKS", "Result", "attack"]
