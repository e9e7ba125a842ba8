"""How good a candidate is: against the champion, row by row, and where it is weak."""
