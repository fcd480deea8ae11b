"""Scenarios taken over from what an operator runs: containers, compose files, pods."""
