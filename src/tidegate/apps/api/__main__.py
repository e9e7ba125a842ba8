"""``python -m tidegate.apps.api``: the worker beside a server, which starts it."""

from tidegate.apps.api.beside import main

main()
