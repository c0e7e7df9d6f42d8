"""Decontamination: benchmark items in, documents that hold them out; see step.py and recipes.py."""
