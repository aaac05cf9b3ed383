"""A tour of *ULM workflow* in six balloons."""
