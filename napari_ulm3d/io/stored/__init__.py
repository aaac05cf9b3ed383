"""What every format shares: stored arrays and their axes, the facts beside them, and limits."""
