"""The vocabulary and the rules: plain types and pure functions, no file, network, database or clock."""
