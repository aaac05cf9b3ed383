"""From a map to raw centrelines: mask, skeleton, spurs, gaps."""
