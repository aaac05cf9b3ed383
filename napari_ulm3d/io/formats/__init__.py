"""The file formats, one a folder: reader, safety and writer together."""
