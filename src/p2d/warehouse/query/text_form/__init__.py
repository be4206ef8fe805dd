"""The readable text form of the cohort language: a query in one line, or indented."""
