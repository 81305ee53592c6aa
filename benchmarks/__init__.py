"""How accurate, fast, efficient and compact compiled programs are: `python -m benchmarks`."""
