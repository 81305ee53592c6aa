"""swkpu: a compiler toolchain and simulator for the Stillwater KPU."""

__version__ = "0.1.0"
