"""Evaluation: a checkpoint's scores as rows, so that SQL compares runs."""
