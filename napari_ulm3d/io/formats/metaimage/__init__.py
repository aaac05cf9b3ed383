"""MetaImage reader."""
