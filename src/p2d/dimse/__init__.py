"""DICOM upper layer and DIMSE messages, client and server (PS3.7, PS3.8), for what P2D needs of them."""
