"""Clinical data as hospitals hold them (CSV, Parquet, OMOP CDM, i2b2, FHIR), read as four plain tables.

On the floor because both zones need it: the hospital zone to pseudonymise such data, the research zone to
load them once they are pseudonymised. It knows the formats and nothing of pseudonyms, identity or warehouse;
whoever reads decides what may pass.
"""
