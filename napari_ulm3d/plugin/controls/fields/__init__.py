"""The fields that forms are made of: numbers, sliders, texts, weights, each as a magicgui widget."""
