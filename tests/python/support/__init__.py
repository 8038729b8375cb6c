"""Shared by the Python tests; README.md in the folder above says what is where."""
