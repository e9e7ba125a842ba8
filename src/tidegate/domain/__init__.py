"""The vocabulary and the rules: plain types, pure functions; no file, network or clock."""
