"""Response times of the plugin."""
