"""``python -m tidegate.apps.cli``: the same program."""

from tidegate.apps.cli.main import main

if __name__ == "__main__":
    main()
