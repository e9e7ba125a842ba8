"""Tables in brief, from one pass."""
