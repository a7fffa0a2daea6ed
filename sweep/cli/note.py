"""``loss-sweep note STUDY``: notes and tags of trials."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sweep.cli.program import guarded, listed, make_parser
from sweep.errors import InputError, printable

__all__ = ["main"]

_EXAMPLES = """\
examples:
  loss-sweep note outputs/esp_weights
  loss-sweep note outputs/esp_weights --trial 7 --text 'too stiff beyond 3 Å' --tag paper,checked
  loss-sweep note outputs/esp_weights --trial 7 --untag paper
  loss-sweep note outputs/esp_weights --trial 7 --text ''
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    return guarded(lambda: _note(args))


def _note(args: argparse.Namespace) -> None:
    from sweep.records import load_study
    from sweep.records.notes import read_note, write_note

    study = load_study(args.study)
    tag, untag = listed(args.tag), listed(args.untag)
    changes = args.text is not None or tag or untag
    if args.trial is None and changes and study.is_search:
        raise InputError("--trial: say which trial the note is of")
    trials = list(study) if args.trial is None else [study[args.trial]]
    if changes:
        (trial,) = trials
        write_note(trial.folder, read_note(trial.folder).changed(args.text, tag, untag))
    notes = {trial.number: read_note(trial.folder) for trial in trials}
    for number, note in notes.items():
        if note or args.trial is not None:
            print(printable(f"trial {number}: {note or 'no note'}"))
    if args.trial is None and not any(notes.values()):
        print("no notes yet; --trial 3 --text TEXT writes one")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "note",
        "Write, change and show notes and tags of trials. They stand in the tables and on the page "
        "of loss-sweep compare, and in load_study.",
        examples=_EXAMPLES,
    )
    add = parser.add_argument
    add("study", metavar="STUDY", type=Path, help="folder of a study, or of a trial")
    add("--trial", type=int, metavar="N", help="which trial (default: show all notes)")
    add("--text", metavar="TEXT", help="the note; '' takes it away (default: as it is)")
    add("--tag", default="", metavar="TAG,...", help="tags to add")
    add("--untag", default="", metavar="TAG,...", help="tags to take away")
    return parser
