"""Updates by policy against fixed schedules and against River: ``make bench-training``."""
