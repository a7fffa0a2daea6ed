"""The URL of a study's database, whose password gets into no record, no pickle and no message."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from sweep.errors import InputError
from sweep.passwords import masked

__all__ = ["StorageUrl", "mask_node"]

_KEY = "hydra.sweeper.storage"
_FILE = "storage"  # in the folder of a session
_INTERPOLATION = re.compile(r"\$\{[^{}]*\}")


class StorageUrl:
    """Where a study is kept, as configured.

    Pickled it is without its password: a worker takes that from its own environment, if it was
    configured as ``${oc.env:NAME}``, or from a file in the session's folder that only its owner can
    read.

    Args:
        configured: The text of the configuration, with its interpolations.
        url: What it resolves to; None to resolve it here.

    Raises:
        InputError: if it cannot be resolved, or read in one way only.
    """

    def __init__(self, configured: str, url: str | None = None) -> None:
        resolved = _resolve(configured)
        if url is None:
            if resolved is None:
                raise InputError(f"{_KEY}: names an environment variable that is not set")
            url = resolved
        _check(url)
        self.shown = masked(url)
        self._url: str | None = url
        given = _INTERPOLATION.sub("", configured)
        in_environment = given != configured and masked(given) == given and resolved == url
        self._variable = configured if in_environment else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageUrl) and self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash(self.shown)

    def __repr__(self) -> str:
        return f"StorageUrl({self.shown!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Without the password."""
        return {"shown": self.shown, "_url": None, "_variable": self._variable}

    @property
    def has_password(self) -> bool:
        """Whether it holds a secret."""
        return "***" in self.shown

    @property
    def url(self) -> str:
        """The URL itself.

        Raises:
            InputError: if its password is not known in this process.
        """
        if self._url is None:
            if not self.has_password:
                self._url = self.shown
            elif self._variable is not None:
                self._url = _resolve(self._variable)
        if self._url is None or masked(self._url) != self.shown:
            source = self._variable or "the session's folder"
            raise InputError(f"{_KEY}: the password of {self.shown} is not in {source}")
        return self._url

    def leave(self, folder: Path) -> None:
        """Leave the password to the workers of a session, where it is in no environment.

        Args:
            folder: Folder of the session.
        """
        if not self.has_password or self._variable is not None:
            return
        handle = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(self.url)

    def find(self, folder: Path) -> None:
        """Take the password that was left, if one was.

        Args:
            folder: Folder of the session.
        """
        if self._url is None and (folder / _FILE).is_file():
            self._url = (folder / _FILE).read_text(encoding="utf-8")

    @staticmethod
    def forget(folder: Path) -> None:
        """Remove what was left in the folder of a session."""
        (folder / _FILE).unlink(missing_ok=True)


def mask_node(cfg: DictConfig) -> None:
    """Mask the password in the ``hydra`` node of a configuration, in the overrides too."""
    with read_write(cfg), read_write(cfg.hydra), open_dict(cfg.hydra):
        sweeper = OmegaConf.to_container(cfg.hydra.sweeper, resolve=False)
        storage = sweeper.get("storage") if isinstance(sweeper, dict) else None
        if isinstance(storage, str):
            cfg.hydra.sweeper.storage = masked(storage)
        for name in ("hydra", "task"):
            texts = OmegaConf.to_container(cfg.hydra.overrides[name], resolve=False)
            assert isinstance(texts, list)
            cfg.hydra.overrides[name] = [masked(str(text)) for text in texts]


def _resolve(configured: str) -> str | None:
    """What a text with interpolations becomes in this environment; None if something is missing."""
    try:
        value = OmegaConf.create({"url": configured}).url
    except OmegaConfBaseException:
        return None
    return str(value)


def _check(url: str) -> None:
    """Make sure that it is clear where the password ends."""
    authority = url.partition("://")[2]
    if not authority.startswith("/") and authority.count("@") > 1:
        raise InputError(
            f"{_KEY}: has more than one @; in a user name or a password write %40 for it"
        )
