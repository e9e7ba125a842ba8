"""What typer says of wrong usage, in Chinese: it has these few sentences, and only English."""

import re

from tidegate.domain.messages import render
from tidegate.domain.zh import ZH

#: A sentence of typer's, whole, and the template that says the same.
_SAID = tuple(
    (re.compile(pattern, re.DOTALL), template)
    for pattern, template in (
        (r"Missing option '(?P<name>.+)'\.", "Missing option '{name}'."),
        (r"Missing (argument|parameter:?) '?(?P<name>[^']+)'?\.?", "Missing argument '{name}'."),
        (r"Missing command\.", "Missing command."),
        (r"No such command '(?P<name>.+)'\..*", "No such command '{name}'."),
        (
            r"No such option: (?P<name>\S+) \(Possible options: (?P<known>.+)\)",
            "No such option: {name} (possible options: {known})",
        ),
        (r"No such option: (?P<name>\S+).*", "No such option: {name}"),
        (
            r"Got unexpected extra argument\(s\) \((?P<given>.*)\)",
            "Got unexpected extra arguments: {given}",
        ),
        (r"Option '(?P<name>.+)' requires an argument\.", "Option '{name}' requires a value."),
        (r"Option '(?P<name>.+)' does not take a value\.", "Option '{name}' takes no value."),
        (
            r"Invalid value for '(?P<name>.+?)': (Value error, )?'(?P<given>.*)' is not one of "
            r"(?P<known>.+)\.",
            "'{given}' is no value for '{name}': use one of {known}",
        ),
        (
            r"Invalid value for '(?P<name>.+?)': .*valid integer.*",
            "The value for '{name}' is no whole number.",
        ),
        (
            r"Invalid value for '(?P<name>.+?)': .*(greater than or equal to|>=) ?(?P<least>\S+?)",
            "The value for '{name}' is below {least}.",
        ),
        (
            r"Invalid value for '?(?P<name>[^' ]+)'?: (?P<problem>.*)",
            "Invalid value for '{name}': {problem}",
        ),
    )
)


def in_language(said: str, lang: str) -> str:
    """What typer said, in ``lang``; as it is where that is English, or the sentence is a new one.

    >>> in_language("Missing option '--reason'.", "zh")
    '缺少选项“--reason”'
    """
    if lang == "en":
        return said
    for pattern, template in _SAID:
        found = pattern.fullmatch(said)
        if found is not None:
            values = found.groupdict()
            if "problem" in values:
                values["problem"] = ZH.get(values["problem"], values["problem"])
            return render(template, values, lang)
    return said
