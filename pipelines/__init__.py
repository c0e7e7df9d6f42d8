"""Recipes, the planner, the executors and the command line: the only place that imports stages."""
