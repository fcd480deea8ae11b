"""Package repositories: what they offer, verified, and their files."""
