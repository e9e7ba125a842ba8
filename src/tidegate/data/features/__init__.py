"""Features: what a row becomes before parameters see it. One file a kind of feature."""
