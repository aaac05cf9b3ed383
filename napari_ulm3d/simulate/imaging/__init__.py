"""From bubbles to complex volumes: point-spread function, amplitudes, tissue, noise and motion."""
