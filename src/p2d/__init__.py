"""P2D: a PACS-to-DWH gateway; pseudonyms towards research, DICOM towards the archive."""
