"""FHIR R4 bundles and NDJSON as four tables; read leniently, told precisely."""
