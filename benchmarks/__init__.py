"""How accurate, fast, efficient and compact compiled programs are: `python -m benchmarks`."""

from swkpu.tools.console import prepare

prepare()  # before anything here imports torch
