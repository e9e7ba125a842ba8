"""How a version meets traffic: splitter, judge, controller, gateway."""
