"""``from_mace_scf=PATH`` on the command line: the file becomes a part of the configuration.

The translated file is stored as an option of a configuration group and chosen in place of the path.
Everything that Hydra composes lies on top of it as on any other option: experiments, overrides and
searches; and the composed configuration, which workers and records get, holds its content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from sweep.config.foreign import flag_words, take_word
from sweep.mace_scf.flags import with_flags
from sweep.mace_scf.program import translate_for_program
from sweep.mace_scf.reading import file_text, read_text
from sweep.mace_scf.translation import translate

__all__ = ["GROUP", "expand"]

GROUP = "from_mace_scf"


def expand(arguments: Sequence[str]) -> list[str]:
    """Replace ``from_mace_scf=PATH`` by the choice of what the file becomes.

    Flags in ``trainer.args`` are keys of the file. What of it is not taken as it is, is printed.
    With ``trainer=mace_scf`` MACE_SCF itself reads the file, and only its weights, stages and
    labels are ours.

    Raises:
        InputError: if the file cannot be read or holds what MACE_SCF does not know.
    """
    given, rest = take_word(arguments, GROUP)
    if given is None:
        return list(arguments)
    path = Path(given).expanduser()
    where = f"{GROUP}={path}"
    flags, rest = take_word(rest, "trainer.args")
    text = with_flags(file_text(path), flag_words(flags or "", "trainer.args"), where)
    if any(re.match(r"\+?trainer=mace_scf$", word) for word in rest):
        translation = translate_for_program(text, where)
    else:
        own_model = any(re.match(r"\+?model=", word) for word in rest)
        translation = translate(read_text(text, where), where, own_model=own_model)
    option = re.sub(r"\W", "_", path.stem) or "file"
    defaults: list[Any] = [{"override /data": None}, {"override /loss": []}]
    defaults.append({"override /schedule": None})
    if translation.model is not None:
        defaults.append({"override /model": translation.model})
    ConfigStore.instance().store(
        group=GROUP,
        name=option,
        node={"defaults": [*defaults, "_self_"], **translation.overlay},
        package="_global_",
        provider=where,
    )
    translation.remarks.print(f"{path}: keys that are not taken as they are")
    # Before all others: what stands on the command line lies on top of the file.
    first = next((i for i, word in enumerate(rest) if "=" in word and word[0] != "-"), len(rest))
    return [*rest[:first], f"+{GROUP}={option}", *rest[first:]]
