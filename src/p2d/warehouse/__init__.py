"""Facts in, cohorts out."""
