"""PNG pictures of maps, written."""
