"""Where rows come from: one file a form that they may be kept in."""
