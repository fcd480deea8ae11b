"""System calls: the kernel's tracer, names and numbers, and the census."""
