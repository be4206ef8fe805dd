"""De-identify a folder of DICOM files without archive or server, by the gateway's own code."""
