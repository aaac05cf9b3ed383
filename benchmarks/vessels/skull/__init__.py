"""Completion of a skull with holes, at full resolution: the task of Li et al. (Sci. Rep. 13:20229, 2023)."""
