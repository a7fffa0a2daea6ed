"""``python -m sweep.dashboard STUDY``: optuna-dashboard on a study, with its notes and pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import InputError, SweepError

__all__ = ["main"]

_HOST = "127.0.0.1"  # the dashboard asks nobody who they are, and lets everybody delete studies


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    try:
        _serve(args.study, args.port, args.storage)
    except SweepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: port {args.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # how it is ended
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sweep.dashboard",
        description=(
            "Serve optuna-dashboard for a study on this machine, until Ctrl-C. With "
            "hydra.sweeper.dashboard=true a sweep gives each trial a note and a picture to show "
            "there. From elsewhere: ssh -L 8080:127.0.0.1:8080 <this machine>."
        ),
    )
    parser.add_argument("study", metavar="STUDY", type=Path, help="the study's folder")
    parser.add_argument("--port", type=_port, default=8080, help="default: 8080")
    parser.add_argument(
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

    check_dashboard("python -m sweep.dashboard")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if url is None and not (folder / JOURNAL).is_file():
        raise InputError(
            f"{folder}: holds no {JOURNAL}; for a study in a database give --storage URL"
        )
    import optuna_dashboard

    storage, artifacts = open_storage(url, folder), artifact_store(folder)
    print(f"http://{_HOST}:{port}/dashboard/ shows {folder}; Ctrl-C ends it", flush=True)
    optuna_dashboard.run_server(storage, host=_HOST, port=port, artifact_store=artifacts)


if __name__ == "__main__":
    sys.exit(main())
