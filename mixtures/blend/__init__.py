"""`use: mixture`: sources, weights and a schedule into packed rows."""
