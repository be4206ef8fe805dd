"""OMOP CDM 5.4 with the medical imaging extension."""
