"""The eight stages in order, one file each, and the runner that survives a crash."""
