"""Errors of a study, named for the event; each is also the builtin that a caller would expect."""


class StudyError(Exception):
    """Base of every error that a study raises on purpose."""


class StudyConfigError(StudyError, ValueError):
    """The study file or an override is wrong; the text lists every problem."""


class StudyMismatchError(StudyError, ValueError):
    """The study directory belongs to other data, other settings or another format version."""


class UnsafePathError(StudyError, ValueError):
    """A path of a study leads out of it, or to what it should not be; it was not opened."""


class StudyNotFoundError(StudyError, FileNotFoundError):
    """There is no study in the directory."""


class JournalDamagedError(StudyError, ValueError):
    """The journal of a study cannot be read; nothing was changed."""


class StudyExistsError(StudyError, FileExistsError):
    """There is a study in the directory already."""


class StudyPlaceError(StudyError, OSError):
    """The study directory cannot be written."""


class StudyBusyError(StudyError, BlockingIOError):
    """Another process is running the study."""


class RehearsalError(StudyError, RuntimeError):
    """The trial of `segtune check` failed or was not restored."""


class EngineError(StudyError, RuntimeError):
    """Ray could not be started or died under the study."""


class ExportError(StudyError, ValueError):
    """A trial's model cannot be handed over; nothing is left behind."""


class TrialExitError(StudyError, RuntimeError):
    """A trial's code asked Python to end."""


class ScriptError(StudyError, RuntimeError):
    """A user's script ended with an error, or without a report."""
