"""What a run says of itself, against what is true."""
