"""What a model can do, measured; the results are rows, so SQL compares runs."""
