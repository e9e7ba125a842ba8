"""What data must look like, and where they do not."""
