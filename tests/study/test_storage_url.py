"""The password of a storage's URL is known to whoever needs it, and written nowhere."""

from __future__ import annotations

import pickle
import stat

import pytest

from sweep.errors import InputError
from sweep.passwords import masked
from sweep.study.storage import open_storage
from sweep.study.storage_url import StorageUrl

SECRET = "s3cr3t"
URL = f"postgresql://me:{SECRET}@host:5432/db"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (URL, "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (f"postgresql://:{SECRET}@host/db", "postgresql://:***@host/db"),
        (f"postgresql://me:x:{SECRET}/y@host/db", "postgresql://me:***@host/db"),
        (f"postgresql://me:x@{SECRET}@host/db", "postgresql://me:***@host/db"),
        (f"a 'postgresql://me:{SECRET}@host', b", "a 'postgresql://me:***@host', b"),
        (f"postgresql://host/db?user=me&password={SECRET}", "postgresql://host/db?user=me&password=***"),
        (f"mysql://host/db?passwd={SECRET}&x=1", "mysql://host/db?passwd=***&x=1"),
        ("postgresql://me:${oc.env:X}@host/db", "postgresql://me:***@host/db"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
    ],
)  # fmt: skip
def test_every_password_is_masked(text, expected):
    assert masked(text) == expected


def test_a_pickle_holds_none_and_a_file_of_the_session_does(tmp_path):
    url = StorageUrl(URL, URL)
    assert SECRET not in f"{url} {url!r}"
    data = pickle.dumps(url)
    assert SECRET.encode() not in data
    again = pickle.loads(data)
    assert again == url
    with pytest.raises(InputError, match="the password of postgresql"):
        _ = again.url
    url.leave(tmp_path)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again.find(tmp_path)
    assert again.url == URL
    StorageUrl.forget(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("configured", "variable"),
    [("${oc.env:SWEEP_URL}", URL), ("postgresql://me:${oc.env:SWEEP_URL}@host:5432/db", SECRET)],
)
def test_a_worker_takes_it_from_its_environment(tmp_path, monkeypatch, configured, variable):
    monkeypatch.setenv("SWEEP_URL", variable)
    url = StorageUrl(configured, URL)
    data = pickle.dumps(url)
    assert SECRET.encode() not in data
    url.leave(tmp_path)
    assert pickle.loads(data).url == URL
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("SWEEP_URL")
    with pytest.raises(InputError, match="is not in"):
        _ = pickle.loads(data).url


def test_what_needs_no_secret_travels_as_it_is(tmp_path):
    url = StorageUrl("sqlite:///mine.db")
    url.leave(tmp_path)
    assert not list(tmp_path.iterdir())
    assert pickle.loads(pickle.dumps(url)).url == "sqlite:///mine.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"postgresql://me:p@{SECRET}@127.0.0.1:1/db", "more than one @"),
        (f"postgresql://me:{SECRET}@127.0.0.1:x/db", "not the URL of a database"),
        (f"me:{SECRET}@127.0.0.1/db", "not the URL of a database"),
        (f"postgre://me:{SECRET}@127.0.0.1/db", "not the URL of a database"),
        (f"postgresql://me:{SECRET}@127.0.0.1:1/db", "cannot open the postgresql database"),
    ],
)
def test_no_message_holds_it(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        open_storage(text, tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"hydra.sweeper.storage=postgresql://me:{SECRET}@127.0.0.1:1/db",
        f"hydra.sweeper.storage='postgresql://me:{SECRET}@127.0.0.1:1/db'",
        f"hydra.sweeper.storage=postgresql://me:p@{SECRET}@127.0.0.1:1/db",
        f"hydra.sweeper.storage=postgresql://me:p{{{SECRET}@127.0.0.1:1/db",
        f"hydra.sweeper.storage=postgresql://me:p({SECRET}@127.0.0.1:1/db",
        f"hydra.sweeper.stroage=postgresql://me:{SECRET}@127.0.0.1:1/db",
        f"hydra.sweeper.n_trials=postgresql://me:{SECRET}@127.0.0.1:1/db",
    ],
)
def test_no_command_prints_it(command, text):
    result = command("+experiment=smoke", "-m", text)
    assert result.status == 1
    assert result.err.startswith("error: ")
    assert SECRET not in result.out + result.err
