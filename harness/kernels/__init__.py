"""Kernels: the catalog, its lock, where they come from, and what boots them."""
