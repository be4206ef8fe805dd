"""The distributed engine: Spark over a Parquet copy of the warehouse; it answers and never writes."""
