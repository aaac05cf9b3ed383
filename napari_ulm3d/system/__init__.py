"""Operating system services: atomic files, processors and memory."""
