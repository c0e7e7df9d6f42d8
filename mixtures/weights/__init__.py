"""Shares of the sources: heuristics, swarms of proxy runs, fitted laws."""

from mixtures.weights.heuristics import controls, given, natural, temperature, uniform, unimax

__all__ = ["controls", "given", "natural", "temperature", "uniform", "unimax"]
