"""Pictures and movies of the view, with their previews."""
