"""Verdicts: what observations mean."""
