"""Opens what holds the journal: a file in the study, or a database, which is only read where a study is only viewed."""

from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from components.references import masked, resolve
from tuning.errors import StudyPlaceError
from tuning.record.journal_file import explain_damage


def open_database(url: str, *, to_read: bool) -> BaseStorage:
    """A database that Optuna knows.

    Args:
        url: may hold references such as `${DB_PASSWORD}`.
        to_read: nothing is written or made, and a database that is not there is an error.

    Raises:
        InvalidInputError: a reference is not set in the environment.
        StudyPlaceError: it does not open; names no password.
    """
    resolved = resolve(url, "storage.url")
    try:
        return _open_to_read(make_url(resolved)) if to_read else RDBStorage(resolved)
    except StudyPlaceError:
        raise
    except ArgumentError as error:
        raise StudyPlaceError(f"storage.url: {masked(url)} is not the URL of a database.") from error
    except ImportError as error:
        raise StudyPlaceError(f"storage.url: its driver is not installed: {error}. Hint: pip install it.") from error
    except Exception as error:  # SQLAlchemy's and the driver's own, of many kinds; their texts may hold the password
        kind = type(error).__name__
        raise StudyPlaceError(f"storage.url: the database does not open ({kind}). Hint: is it running?") from error


def open_file(path: Path) -> BaseStorage:
    """Optuna's journal file.

    Raises:
        JournalDamagedError: it cannot be read; names the line.
    """
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError:
        raise
    except Exception as error:  # Optuna replays the entries, and a wrong one may raise anything
        raise explain_damage(path, error) from error


def _open_to_read(url: URL) -> BaseStorage:
    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        if not Path(url.database).is_file():
            raise StudyPlaceError(
                f"storage.url: {url.database}: no such database. Hint: viewing makes none; has the study been run here?"
            )
        url = url.set(database=f"file:{url.database}", query={**url.query, "mode": "ro", "uri": "true"})
    elif url.get_backend_name() == "postgresql":
        arguments = {"connect_args": {"options": "-c default_transaction_read_only=on"}}
    return RDBStorage(
        url.render_as_string(hide_password=False),
        engine_kwargs=arguments,
        skip_compatibility_check=True,
        skip_table_creation=True,
    )
