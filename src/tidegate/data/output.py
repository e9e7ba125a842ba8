"""Files that people asked for: there whole, or as they were."""

import os
from pathlib import Path

from tidegate.domain.errors import DataError


def write_file(path: Path, text: str) -> None:
    """Write text as UTF-8; an earlier file is replaced whole or not at all. Raises DataError."""
    beside = path.with_name(path.name + ".part") if path.name else path
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        if path.name:
            beside.unlink(missing_ok=True)
        raise DataError(
            "{file} cannot be written ({reason})",
            do="check the folder and the room on the disk",
            file=str(path),
            reason=error.strerror or str(error),
        ) from None
