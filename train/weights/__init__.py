"""Checkpoint algebra on safetensors: averages, merges, growth, pruning."""
