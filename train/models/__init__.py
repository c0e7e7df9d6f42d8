"""Models: built from a configuration, opened from a checkpoint, patched, wrapped."""
