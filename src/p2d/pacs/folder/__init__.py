"""Connector to a folder of DICOM files, for sites with exports instead of an archive, and for tests."""
