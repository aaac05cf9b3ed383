"""A first walk through *ULM workflow*, in six balloons."""
