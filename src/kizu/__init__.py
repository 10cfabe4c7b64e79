"""Kizu learns what a good part looks like, says OK or NG for each new picture, and shows where the flaw is."""

__version__ = "0.1.0"
