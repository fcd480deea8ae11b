"""Images: from a reference or a recipe to a disk that a guest can mount."""
