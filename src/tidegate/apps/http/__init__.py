"""What the API and the gateway share: who may ask, and how errors are told."""
