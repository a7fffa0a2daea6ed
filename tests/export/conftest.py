"""A trial that was selected for export."""

import pytest
import yaml
from exported_trials import stage

from sweep.export.winner import select
from sweep.files import write_json, write_text


@pytest.fixture
def winner(tmp_path):
    """Make a trial with these losses, one per stage, and select it."""

    def make(*stage_losses, options=(None, None, None), config=None, **content):
        folder = tmp_path / "my study" / "trials" / "0003"
        stages = [stage(i, loss, 10 * i, 10 * i + 9) for i, loss in enumerate(stage_losses)]
        schedule = {
            str(i): {**entry, "fixed_point_training_options": options[i]}
            for i, entry in enumerate(stages)
        }
        write_text(
            folder / ".hydra" / "config.yaml",
            yaml.safe_dump({"train_schedule": schedule, **(config or {})}),
        )
        entries = {
            "number": 3, "state": "COMPLETE", "score": 0.25, "seed": 7, "stages": stages,
            "versions": {"torch": "2.13.0", "mace-loss-sweep": "0.1.0"}, **content,
        }  # fmt: skip
        write_json(folder / "trial.json", entries)
        return select(tmp_path / "my study", None)

    return make
