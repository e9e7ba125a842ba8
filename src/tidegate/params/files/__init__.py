"""Safetensors files: read with suspicion, written in one canonical form."""
