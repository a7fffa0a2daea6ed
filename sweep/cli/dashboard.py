"""``loss-sweep dashboard STUDY``: optuna-dashboard on a study, with its notes and pictures."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

from sweep.cli.program import guarded, make_parser
from sweep.errors import InputError

__all__ = ["main"]

_HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: _serve(args.study, args.port, args.storage), interrupted=None)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "dashboard",
        "Serve optuna-dashboard for a study on this machine, until Ctrl-C. With "
        "hydra.sweeper.dashboard=true a search gives each trial a note and a picture to show "
        "there. It prints a URL with a secret, without which it answers nobody. From elsewhere, "
        "through the same port: ssh -L 8080:127.0.0.1:8080 <this machine>.",
    )
    add = parser.add_argument
    add("study", metavar="STUDY", type=Path, help="folder of a study")
    add("--port", type=_port, default=8080, metavar="N", help="default: 8080")
    add(
        "--storage",
        metavar="URL",
        help="hydra.sweeper.storage of a study that is kept in a database",
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 1 to 65535; got {text}")
    return port


def _serve(folder: Path, port: int, url: str | None) -> None:
    from sweep.report.dashboard.notes import artifact_store, check_dashboard
    from sweep.study.storage import JOURNAL, open_storage
    from sweep.study.storage_url import StorageUrl

    check_dashboard("loss-sweep dashboard")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if url is None and not (folder / JOURNAL).is_file():
        raise InputError(
            f"{folder}: holds no {JOURNAL}; for a study in a database give --storage URL"
        )
    import optuna_dashboard

    from sweep.report.dashboard.guard import Guard

    if url is not None:
        url = StorageUrl(url).url  # it may name an environment variable
    app = optuna_dashboard.wsgi(open_storage(url, folder), artifact_store=artifact_store(folder))
    guard = Guard(app, _HOST, port, secrets.token_urlsafe(32))
    try:
        server = make_server(_HOST, port, guard, handler_class=_Handler)
    except OSError as error:
        raise InputError(f"port {port}: {error.strerror or error}") from error
    with server:
        print(f"{guard.url} shows {folder}; Ctrl-C ends it", flush=True)
        server.serve_forever()


class _Handler(WSGIRequestHandler):
    """Writes no line for every request: the first has the secret in it."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
