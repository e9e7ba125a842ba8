"""Where rows and bytes live: a database and an object store. Nothing above knows which."""
