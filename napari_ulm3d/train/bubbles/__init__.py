"""Training of BubbleNet: windows, targets, loss, task."""
