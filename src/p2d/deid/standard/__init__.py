"""What the DICOM standard says for de-identification, as data with accessors; it decides nothing itself."""
