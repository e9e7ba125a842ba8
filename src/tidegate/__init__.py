"""Tidegate: a case file that passes eight gates, with a proof for every version."""

__version__ = "0.1.0"
