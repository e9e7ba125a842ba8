"""What people and machines touch: command line and HTTP API. Wiring only."""
