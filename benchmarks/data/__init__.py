"""Data against data: what profiles and verdicts take here, at peers, and at the machine's limit."""
