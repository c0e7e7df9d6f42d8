"""Procedural tasks: endless rows with exact answers, drawn from a seed; no model is asked."""

from synth.procedural.tasks import TASKS, ProceduralSource, generate, parse_source, rows

__all__ = ["TASKS", "ProceduralSource", "generate", "parse_source", "rows"]
