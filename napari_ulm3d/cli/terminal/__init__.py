"""What the commands say while they work, and how Ctrl-C reaches them."""
