"""A database as Optuna's storage, for studies on several nodes, that outlives lost connections."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, _CachedStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)

from sweep.errors import InputError, SweepError
from sweep.passwords import masked
from sweep.study.storage_url import StorageUrl

__all__ = ["open_database"]

PATIENCE_SECONDS = 600.0  # how long a worker waits for a database that does not answer
_PAUSE_SECONDS = 2.0
_KEY = "hydra.sweeper.storage"


def open_database(url: str) -> BaseStorage:
    """Open the database at an SQLAlchemy URL such as ``postgresql://user@host/name``.

    Raises:
        InputError: if the URL is not valid, its driver is missing or the server does not answer.
    """
    StorageUrl(url, url)  # refuses what SQLAlchemy would cut at the wrong place
    try:
        parsed = _with_driver(make_url(url))
        for attempt in range(3):  # two sweeps may create the tables at the same time
            try:
                return Database(
                    RDBStorage(
                        parsed.render_as_string(hide_password=False),
                        engine_kwargs={"pool_pre_ping": True},
                    )
                )
            except (IntegrityError, ProgrammingError):
                if attempt == 2:
                    raise
                time.sleep(_PAUSE_SECONDS)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:  # the last: a port
        # What SQLAlchemy says may hold the text, password and all.
        raise InputError(
            f"{_KEY}: not the URL of a database, such as postgresql://user@host/name"
        ) from error
    except ImportError as error:
        raise InputError(
            f"{_KEY}: the driver of {parsed.drivername} is missing; for PostgreSQL: "
            "pip install 'psycopg[binary]'"
        ) from error
    except (DBAPIError, StorageInternalError) as error:
        reason = masked(_line(error))
        if parsed.password:
            reason = reason.replace(str(parsed.password), "***")
        raise InputError(
            f"{_KEY}: cannot open the {parsed.get_backend_name()} database: {reason}"
        ) from error
    raise AssertionError("unreachable")


def _with_driver(url: URL) -> URL:
    """SQLAlchemy's default driver of PostgreSQL is psycopg2; take psycopg 3 where that is there."""
    if url.drivername == "postgresql" and find_spec("psycopg") is not None:
        return url.set(drivername="postgresql+psycopg")
    return url


def _line(error: Exception) -> str:
    """The first line of what the database said."""
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    """Repeat a call of the storage while the connection is lost.

    A statement that reached the server although its answer was lost is done twice. All but one
    bear that: a trial that was created twice is a trial that nobody trains, and is taken over; for
    the end of a trial the second time raises, which here means success.
    """

    @functools.wraps(method)
    def call(self: Database, *args: Any, **kwargs: Any) -> Any:
        began: float | None = None
        while True:
            try:
                answer = method(self, *args, **kwargs)
            except UpdateFinishedTrialError:
                if began is not None and method.__name__ == "set_trial_state_values":
                    return True
                raise
            except (DBAPIError, StorageInternalError) as error:
                if not _is_lost(error):
                    raise
                now = time.monotonic()
                if began is None:
                    began = now
                    print(
                        f"{_KEY}: connection lost ({_line(error)}); trying again for up to "
                        f"{PATIENCE_SECONDS / 60:.0f} min",
                        file=sys.stderr,
                    )
                if now - began > PATIENCE_SECONDS:
                    raise SweepError(
                        f"{_KEY}: no connection for {PATIENCE_SECONDS / 60:.0f} min "
                        f"({_line(error)}); run again to go on"
                    ) from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return answer

    return call


def _is_lost(error: BaseException) -> bool:
    """Whether the server went away, rather than refused; that is often not the outermost error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OperationalError | InterfaceError):
            return True
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class Database(_CachedStorage):
    """Optuna's database storage, whose calls wait for a connection that is lost.

    They are those of the cache that Optuna puts around a database; what that calls inside is not
    public.
    """

    create_new_trial = _patient(_CachedStorage.create_new_trial)
    get_all_studies = _patient(_CachedStorage.get_all_studies)
    get_all_trials = _patient(_CachedStorage.get_all_trials)
    get_study_directions = _patient(_CachedStorage.get_study_directions)
    get_study_id_from_name = _patient(_CachedStorage.get_study_id_from_name)
    get_study_name_from_id = _patient(_CachedStorage.get_study_name_from_id)
    get_study_system_attrs = _patient(_CachedStorage.get_study_system_attrs)
    get_study_user_attrs = _patient(_CachedStorage.get_study_user_attrs)
    get_trial = _patient(_CachedStorage.get_trial)
    get_trial_id_from_study_id_trial_number = _patient(
        _CachedStorage.get_trial_id_from_study_id_trial_number
    )
    get_trial_system_attrs = _patient(_CachedStorage.get_trial_system_attrs)
    get_trial_user_attrs = _patient(_CachedStorage.get_trial_user_attrs)
    set_study_system_attr = _patient(_CachedStorage.set_study_system_attr)
    set_study_user_attr = _patient(_CachedStorage.set_study_user_attr)
    set_trial_intermediate_value = _patient(_CachedStorage.set_trial_intermediate_value)
    set_trial_param = _patient(_CachedStorage.set_trial_param)
    set_trial_state_values = _patient(_CachedStorage.set_trial_state_values)
    set_trial_system_attr = _patient(_CachedStorage.set_trial_system_attr)
    set_trial_user_attr = _patient(_CachedStorage.set_trial_user_attr)
