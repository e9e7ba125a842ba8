"""New against historical data."""
