"""The fields of forms (numbers, sliders, text, weights), each as a magicgui widget."""
