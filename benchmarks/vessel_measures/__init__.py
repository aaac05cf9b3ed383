"""Accuracy of vessel measurements on tubes and networks with known values."""
