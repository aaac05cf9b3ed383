"""The dock widgets' panels, one file each."""
