"""How the bytes of versions lie in the object store: blocks, encodings, packs, sheets, leases."""
