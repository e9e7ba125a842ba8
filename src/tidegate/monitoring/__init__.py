"""What happens after: prediction log, late labels, windows, triggers."""
