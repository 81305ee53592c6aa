"""Quantization as a library: scales and zero points, observers of values, calibration on data."""
