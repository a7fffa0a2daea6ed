"""Every pruner of conf stops what is bad and lets run what is good, whatever is minimised."""

import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from sweep.config.stages import CONF_DIR
from sweep.search.objectives import SCORE, Objectives
from sweep.search.optimization import make_pruner, make_sampler
from sweep.search.space import SearchSpace
from sweep.search.suggestion import suggest
from sweep.study.storage import open_study

PRUNERS = sorted(path.stem for path in (CONF_DIR / "hydra/sweeper/pruner").glob("*.yaml"))
TPE = OmegaConf.load(CONF_DIR / "hydra/sweeper/sampler/tpe.yaml")
SPACE = SearchSpace.parse({"loss.a.weight": "tag(log, interval(1, 100))"}, [])
N_EPOCHS = 40


class Study:
    """Trains trials whose courses are given."""

    def __init__(self, folder, name, minimize, constraints=None):
        self.objectives = Objectives(minimize, constraints or {}, "rmse")
        self.study = open_study(folder, "s", n_objectives=len(minimize), space=SPACE)
        cfg = OmegaConf.load(CONF_DIR / f"hydra/sweeper/pruner/{name}.yaml")
        self.study.pruner = make_pruner(cfg, N_EPOCHS)
        self.minimize = minimize

    def train(self, course, *, role=None):
        """Report a course; the epoch of the pruner's stop, None if it went on to the end."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = make_sampler(TPE, SPACE, seed=0, number=number, minimize=self.minimize)
        trial = self.study.ask()
        suggest(trial, SPACE)
        for epoch, score in enumerate(course):
            self.objectives.report(trial, score, epoch)
            if self.objectives.should_prune(self.study, trial) and role is None:
                trial.set_user_attr(SCORE, score)
                self.study.tell(trial, state=TrialState.PRUNED)
                return epoch
        trial.set_user_attr(SCORE, course[-1])
        metrics = {f"rmse_{name}": 2 * course[-1] for name in ("energy", "forces")}
        self.study.tell(trial, self.objectives.values(course[-1], metrics))
        return None


def course(level):
    """The best score so far, ever falling, of a training that ends near ``level``."""
    return [level * (1 + 3 / (1 + epoch)) for epoch in range(N_EPOCHS)]


@pytest.fixture(params=[("score",), ("forces",), ("energy", "forces")], ids=" and ".join)
def minimize(request):
    return request.param


@pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
def test_a_pruner_stops_the_bad_and_not_the_good(tmp_path, name, minimize):
    study = Study(tmp_path, name, minimize)
    assert study.train(course(1.0), role="default") is None
    assert study.train(course(0.9), role="balanced") is None
    for level in (0.95, 0.8, 1.05, 0.85, 1.0, 0.7):
        study.train(course(level))
    bad = [0.6 + score for score in course(1.0)]
    bad = [min(bad[: epoch + 1]) if epoch < 8 else bad[8] for epoch in range(N_EPOCHS)]
    stops = [study.train([score + i / 1000 for score in bad]) for i in range(4)]
    assert any(stop is not None for stop in stops)
    assert all(stop >= 8 for stop in stops if stop is not None)  # not before its warm-up
    assert study.train(course(0.3)) is None
    assert study.train(course(0.2)) is None


def test_the_pruner_none_never_stops(tmp_path, minimize):
    study = Study(tmp_path, "none", minimize)
    for level in (1.0, 1.0, 1e9):
        assert study.train(course(level)) is None


def test_a_patient_pruner_spares_what_still_improves(tmp_path, minimize):
    study = Study(tmp_path, "patient", minimize)
    for _ in range(6):
        study.train(course(1.0))
    falling = [9.0 - 0.1 * epoch for epoch in range(N_EPOCHS)]
    assert study.train(falling) is None
    stands = falling[:20] + [falling[19]] * 20
    assert study.train(stands) == 25  # the first of six epochs without improvement is 20


def test_hyperband_has_the_length_of_a_training_unless_it_is_given():
    cfg = OmegaConf.load(CONF_DIR / "hydra/sweeper/pruner/hyperband.yaml")
    assert make_pruner(cfg, 27)._max_resource == 27
    cfg.max_resource = 81
    assert make_pruner(cfg, 27)._max_resource == 81


def test_hyperband_lets_short_trainings_run(tmp_path, minimize):
    study = Study(tmp_path, "hyperband", minimize)
    study.study.pruner = make_pruner(
        OmegaConf.load(CONF_DIR / "hydra/sweeper/pruner/hyperband.yaml"), 3
    )
    for level in (1.0, 2.0, 9.0):
        assert study.train(course(level)[:3]) is None


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.slow
def test_another_worker_prunes_alike(tmp_path, name):
    """A pruner made anew in another process knows what the first has noted."""
    minimize = ("energy", "forces")
    stops = []
    for kind in ("one", "many"):
        study = Study(tmp_path / kind, name, minimize)
        found = []
        for level in (1.0, 0.9, 0.95, 0.8, 1.05, 3.0, 0.7, 2.5):
            if kind == "many":
                study = Study(tmp_path / kind, name, minimize)
            found.append(study.train(course(level)))
        stops.append(found)
    assert stops[0] == stops[1]
