"""The driver behind `bench/run.py`: environments, launching, rounds, tables."""
