"""Run container images on several real Linux kernels and record what differs."""
