"""``note.json``: what a user says of a trial, in a file of its own beside the records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import DamagedRecordError, InputError
from sweep.files import write_json
from sweep.records.trial_file import read_json_file, shortened

__all__ = ["FILE", "Note", "read_note", "write_note"]

FILE = "note.json"


@dataclass(frozen=True)
class Note:
    """A note.

    Attributes:
        text: In words.
        tags: Sorted, each once.
    """

    text: str = ""
    tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.tags)

    def __str__(self) -> str:
        """``[paper, good] too stiff beyond 3 Å``."""
        return " ".join(([f"[{', '.join(self.tags)}]"] if self.tags else []) + [self.text]).strip()

    def changed(
        self, text: str | None = None, tag: Iterable[str] = (), untag: Iterable[str] = ()
    ) -> Note:
        """The note with another text (None: as it is), with more tags, and without some.

        Raises:
            InputError: if a tag is not there to be taken away.
        """
        missing = [name for name in untag if name not in self.tags]
        if missing:
            has = ", ".join(self.tags) or "no tag"
            raise InputError(f"--untag: there is no tag '{missing[0]}'; there is {has}")
        tags = {*self.tags, *tag} - {*untag}
        return Note(self.text if text is None else " ".join(text.split()), tuple(sorted(tags)))


def read_note(folder: Path) -> Note:
    """The note of a trial; an empty one if it has none.

    Args:
        folder: Folder of the trial.

    Raises:
        DamagedRecordError: naming the file and what is wrong with it.
    """
    path = folder / FILE
    if not path.exists():
        return Note()
    content = read_json_file(path)
    text = content.get("text", "") if isinstance(content, dict) else None
    tags = content.get("tags", []) if isinstance(content, dict) else None
    right = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    if not isinstance(text, str) or tags is None or not right:
        raise DamagedRecordError(
            f"{path}: is {shortened(content)}, expected a text and a list of tags"
        )
    return Note(text, tuple(sorted(set(tags))))


def write_note(folder: Path, note: Note) -> None:
    """Write the note of a trial; an empty one takes it away."""
    if note:
        write_json(folder / FILE, {"text": note.text, "tags": list(note.tags)})
    else:
        (folder / FILE).unlink(missing_ok=True)
