"""Errors of the components, named for the event; each is also the builtin that a caller would expect."""


class ComponentError(Exception):
    """Base of every error that the components raise on purpose."""


class InvalidInputError(ComponentError, ValueError):
    """An argument, a tensor or a file does not fit; the text says what was found and gives a hint."""


class MissingExtraError(ComponentError, ImportError):
    """An optional package is not installed; the text names the line that installs it."""


class NonFiniteLossError(ComponentError, ArithmeticError):
    """A loss became NaN or infinite during training."""


class CheckpointError(ComponentError, OSError):
    """A checkpoint could not be written or read."""


class DiskFullError(CheckpointError):
    """A checkpoint did not fit on the disk; earlier ones are untouched."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """No valid checkpoint answers to what was asked for."""


class CheckpointDamagedError(CheckpointError):
    """A checkpoint's files do not match its manifest."""


class TrainStepError(ComponentError):
    """A user's train step raised, or returned no loss."""
