"""Parameter versions: identity, commit, checkout, diff, and safetensors in and out."""
