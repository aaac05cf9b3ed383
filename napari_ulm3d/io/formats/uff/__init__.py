"""Reader of USTB's ultrasound file format."""
