"""Run and measure the scans of a study, in parallel if requested, and store the results."""
