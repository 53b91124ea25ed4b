"""Benchmarks: job J for cxwatch and its peers on real servers. Never part of the wheel or of the installed command."""
