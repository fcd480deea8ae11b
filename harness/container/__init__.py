"""Containers inside a guest: OCI bundles as engines make them, and the runtimes that run them."""
