"""Scenarios: their schema, and running one cell from a request to an observation."""
