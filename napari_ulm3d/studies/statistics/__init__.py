"""Compare groups and time points: effects, intervals, corrected p-values. The unit is the animal."""
