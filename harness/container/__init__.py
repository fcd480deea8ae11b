"""Containers: OCI bundles as engines make them, and the runtime inside a guest."""
