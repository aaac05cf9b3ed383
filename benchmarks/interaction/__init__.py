"""How quickly the plugin answers."""
