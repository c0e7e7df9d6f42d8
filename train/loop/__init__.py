"""The loop that all kinds share: schedule, optimiser, checkpoints, log, guard, averages."""
