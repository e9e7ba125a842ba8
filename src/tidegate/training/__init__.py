"""How parameters move: adapters, the three strategies, validation."""
