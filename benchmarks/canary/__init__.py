"""When to stop a canary: our judge and the rules of others, simulated: ``make bench-canary``."""
