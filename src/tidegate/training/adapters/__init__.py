"""One file a framework or family: structure as JSON, parameters as named arrays."""
