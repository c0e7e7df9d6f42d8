"""The policy writes, is judged, and learns from it: sampling, rewards, batches, objectives."""
