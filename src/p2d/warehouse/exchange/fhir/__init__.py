"""FHIR R4 as NDJSON."""
