"""Every error a user can meet: what happened, where, and what to do next."""

from typing import Any, ClassVar

from tidegate.domain.messages import render


class TidegateError(Exception):
    """Base of all errors that Tidegate raises on purpose.

    ``what`` and ``do`` are message templates (see ``messages.py``); ``values`` fill both.
    ``exit_code`` is the command line's (1 failed, 2 wrong usage, 3 refused), ``status`` the
    HTTP API's.
    """

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 400

    def __init__(self, what: str, *, do: str, **values: Any):
        self.what, self.do, self.values = what, do, values
        super().__init__(self.text())

    def __reduce__(self) -> tuple[Any, ...]:
        # So that one raised in another process arrives as it was.
        return _again, (type(self), self.what, self.do, self.values)

    def text(self, lang: str = "en") -> str:
        """What happened and what to do, in ``lang``."""
        what, do = (render(part, self.values, lang) for part in (self.what, self.do))
        return f"{what}。{do}" if lang == "zh" else f"{what}: {do}"


def _again(kind: type[TidegateError], what: str, do: str, values: dict[str, Any]) -> TidegateError:
    return kind(what, do=do, **values)


def kept(error: TidegateError) -> tuple[str, str, str, dict[str, Any]]:
    """An error as plain values, for ``restored`` in another process."""
    return type(error).__name__, error.what, error.do, error.values


def restored(kind: str, what: str, do: str, values: dict[str, Any]) -> TidegateError:
    """The error of which ``kept`` told."""
    return _again(_KINDS[kind], what, do, values)


class WrongUsage(TidegateError):
    """The request itself makes no sense: an unknown key, a contradictory option."""

    exit_code, status = 2, 422


class NotFound(TidegateError):
    """A thing that was named does not exist."""

    status = 404


class Conflict(TidegateError):
    """Someone else changed the same thing, or holds it now; trying again may succeed."""

    status = 409


class Changed(Conflict):
    """A document is not any more what it was when it was read."""


class Busy(TidegateError):
    """Too much waits already; the same request may be answered a little later."""

    status = 503


class DataError(TidegateError):
    """The data given cannot be read, or breaks a rule that nothing can be done without."""

    status = 422


class ParamsError(TidegateError):
    """A parameter file or tensor cannot be accepted."""

    status = 422


class Incompatible(TidegateError):
    """Parameters do not fit the structure, transform or library they are asked to load into."""

    exit_code, status = 3, 409


class StorageError(TidegateError):
    """Bytes or rows could not be written or read: full disk, missing object, no right."""

    status = 507


class WorkspaceError(TidegateError):
    """The workspace is missing, or was made by a newer Tidegate."""

    status = 500


class Forbidden(TidegateError):
    """This person may not do this; roles and the separation of duties say so."""

    exit_code, status = 3, 403


class Refused(TidegateError):
    """A gate said no."""

    exit_code, status = 3, 409


class IntegrityError(TidegateError):
    """What is stored is not what was recorded."""

    exit_code, status = 3, 500


class Missing(IntegrityError):
    """What was recorded is not there."""


_KINDS = {
    name: kind
    for name, kind in vars().items()
    if isinstance(kind, type) and issubclass(kind, TidegateError)
}
