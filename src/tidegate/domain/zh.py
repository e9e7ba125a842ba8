"""Chinese for every message template; a test fails where one is missing or loses a value."""

ZH: dict[str, str] = {}
