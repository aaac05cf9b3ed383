"""DICOM reader."""
