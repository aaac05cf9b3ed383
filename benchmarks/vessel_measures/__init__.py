"""How well vessels are measured, on tubes and networks whose numbers are known."""
