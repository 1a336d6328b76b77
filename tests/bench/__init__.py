"""Measures the real server from separate processes: `python -m tests.bench --help`."""
