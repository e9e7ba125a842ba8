"""The eight stages of an update, in the order of ``domain/stage.py``, one file each."""
