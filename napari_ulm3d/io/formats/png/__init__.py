"""PNG writer: pictures of maps."""
