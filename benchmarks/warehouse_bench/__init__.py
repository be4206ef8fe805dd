"""What ``make bench-warehouse`` measures with: generated data, the questions, and the ways to answer them."""
