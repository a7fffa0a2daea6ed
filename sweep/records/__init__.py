"""What a trial and a study leave behind, and every rule that follows from it.

Imports neither torch nor optuna.
"""

from sweep.records.load import load_study
from sweep.records.objective import Objective
from sweep.records.state import State
from sweep.records.study import Study
from sweep.records.study_record import Dimension, StudyRecord
from sweep.records.trial import StageRecord, Trial

__all__ = [
    "Dimension", "Objective", "StageRecord", "State", "Study", "StudyRecord", "Trial", "load_study",
]  # fmt: skip
