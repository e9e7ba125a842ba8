"""Data before parameters learn from it: snapshots, contract, cleaning, features, splits, drift."""
