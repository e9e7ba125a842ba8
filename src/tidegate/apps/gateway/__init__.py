"""The gateway over HTTP: what answers requests, and takes what came true."""
