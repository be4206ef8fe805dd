"""What de-identification did, in counts: for the report that a data protection officer signs."""
