"""What of a viewer is kept in a session file, and how it comes back."""
