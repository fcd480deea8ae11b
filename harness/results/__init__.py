"""Results: the store of runs and their observations."""
