"""Start page of the warehouse: sign in by link, run a cohort, look at its patients' series. Plain HTML."""
