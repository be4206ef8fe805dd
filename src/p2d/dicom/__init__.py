"""DICOM encodings, dictionary and UIDs without any policy."""
