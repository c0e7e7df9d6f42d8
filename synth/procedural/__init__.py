"""Procedural tasks: endless rows with exact answers, drawn from a seed; no model is asked."""
