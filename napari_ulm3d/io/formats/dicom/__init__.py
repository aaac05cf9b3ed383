"""DICOM, read."""
