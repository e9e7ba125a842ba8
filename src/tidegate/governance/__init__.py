"""People, risk and documents."""
