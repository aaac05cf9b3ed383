"""USTB's ultrasound file format, read."""
