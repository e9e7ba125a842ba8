"""Parameter versions: what they cost here, at peers, and at the machine's limit."""
