"""MetaImage, read."""
