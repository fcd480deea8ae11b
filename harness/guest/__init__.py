"""Guests: one running virtual machine each, and how to talk to it."""
