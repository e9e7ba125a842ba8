"""What is done to data before parameters learn."""
