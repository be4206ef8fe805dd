"""The cohort language: JSON in, key sets out."""
