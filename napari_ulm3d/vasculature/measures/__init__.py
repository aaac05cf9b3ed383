"""From centrelines and tracks to lengths, diameters, speeds and flows."""
