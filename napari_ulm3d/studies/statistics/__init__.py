"""Groups and time points compared: effects, intervals, corrected p-values. The unit is the animal."""
