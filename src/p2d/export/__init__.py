"""Files out: tables, DICOM, JPEG, ZIP."""
