"""Shared flags are accepted before and after the subcommand, as in kubectl.

They are declared once, on the root command; this moves those given later in front of the subcommand.
"""

from __future__ import annotations

from aiops_cli.errors import UsageError

WITH_VALUE = {
    "-c": "--context",
    "--context": "--context",
    "-l": "--selector",
    "--selector": "--selector",
    "-g": "--group",
    "--group": "--group",
    "-o": "--output",
    "--output": "--output",
    "--since": "--since",
    "--from": "--from",
    "--to": "--to",
    "--step": "--step",
    "--tz": "--tz",
    "--timeout": "--timeout",
    "--max-age": "--max-age",
    "--bundle": "--bundle",
    "--config": "--config",
    "--kubeconfig": "--kubeconfig",
    "--columns": "--columns",
    "--sort": "--sort",
    "--fields": "--fields",
}
SWITCHES = {
    "--no-cache": "--no-cache",
    "--refresh": "--refresh",
    "--allow-partial": "--allow-partial",
    "--require-data": "--require-data",
    "--debug": "--debug",
    "--timings": "--timings",
    "-q": "--quiet",
    "--quiet": "--quiet",
    "--no-headers": "--no-headers",
}


def hoist(argv: list[str]) -> list[str]:
    """The same arguments, shared flags first. What follows `--` is left alone.

    Raises UsageError for one without its value.
    """
    shared: list[str] = []
    rest: list[str] = []
    argv = list(argv)
    i = 0
    while i < len(argv):
        word = argv[i]
        name, has_value, value = word.partition("=")
        if word == "--":
            rest += argv[i:]
            break
        if word in SWITCHES:
            shared.append(SWITCHES[word])
        elif has_value and name.startswith("--") and name in WITH_VALUE:
            shared += [WITH_VALUE[name], value]
        elif word in WITH_VALUE:
            i += 1
            if i == len(argv):
                raise UsageError(f"{word} needs a value", hint="aiops --help shows what can be said here")
            shared += [WITH_VALUE[word], argv[i]]
        elif len(word) > 2 and word[0] == "-" and word[1] != "-" and word[:2] in WITH_VALUE:
            shared += [WITH_VALUE[word[:2]], word[2:].removeprefix("=")]
        elif len(word) > 2 and word[1] != "-" and word[:2] in SWITCHES:
            shared.append(SWITCHES[word[:2]])
            argv[i] = f"-{word[2:]}"  # `-qo json` is `-q -o json`
            continue
        else:
            rest.append(word)
        i += 1
    return shared + rest
