"""The gateway under load beside other model servers: ``make bench-release``."""
