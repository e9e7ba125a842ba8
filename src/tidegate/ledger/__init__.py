"""The tamper-evident history: state and events in one transaction, a Merkle log, a verifier."""
