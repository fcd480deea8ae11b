"""Reports: the matrix on the terminal and what other tools read."""
