"""Terminal output of the commands, and handling of Ctrl-C."""
