"""Bad input ends in one line that names the culprit, before anything is trained."""

import pytest

SMOKE = ["+experiment=smoke", "-m"]
OWN = ["data=extxyz", "heads.default.train_file=water.xyz", "loss=[forces]"]
SEARCH = ["-m", "loss.forces.weight=tag(log, interval(1, 1000))"]


def esps(sweep):
    return [*SMOKE, f"loss.esps.weight={sweep}"]


# arguments, and what the one line must contain
ON_THE_COMMAND_LINE = {
    "term in loss": (["loss=[forces,espss]"], ["loss", "'espss'", "'esps'", "valid: "]),
    "term": (["+loss.frces.weight=1"], ["loss.frces", "'forces'"]),
    "term in a stage": (
        ["train_schedule.0.loss={frces: 1}"],
        ["train_schedule.0.loss.frces", "unknown loss term 'frces'", "'forces'"],
    ),
    "term in a stage of a search": (
        [*SMOKE, "train_schedule.1.loss={forces: 1, dipol: 1}"],
        ["train_schedule.1.loss.dipol", "'dipole'"],
    ),
    "a label without a plus": (
        [*OWN, "heads.default.arrays_keys.atomic_multipoles=q"],
        ["'+heads.default.arrays_keys.atomic_multipoles=…'"],
    ),
    "charges as mace calls them": (
        [*OWN, "+heads.default.arrays_keys.charges=q"],
        ["arrays_keys.atomic_multipoles", "model.atomic_multipoles_max_l=0"],
    ),
    "a weight of a kind without a plus": (
        [*OWN, "heads.default.config_type_weights={bulk: 2}"],
        ["'+heads.default.config_type_weights.bulk=…'"],
    ),
    "a weight of a kind below zero": (
        [*OWN, "+heads.default.config_type_weights={bulk: -1}"],
        ["heads.default.config_type_weights.bulk", "from 0 on", "got -1.0"],
    ),
    "a weight of a kind that is a word": (
        [*OWN, "+heads.default.config_type_weights={bulk: heavy}"],
        ["heads.default.config_type_weights.bulk", "'heavy'"],
    ),
    "weights of kinds for another program": (
        [*OWN, "trainer=command", "trainer.command=x", "+heads.default.config_type_weights={a: 2}"],
        ["heads.default.config_type_weights", "our own training", "trainer=command"],
    ),
    "a metric without brackets": (
        ["objective.metrics=forces"],
        ["objective.metrics: must be a list", "objective.metrics=[…]"],
    ),
    "shares that nobody reads": (
        ["weighting.shares.forces=3"],
        ["weighting.shares.forces=3: not read with weighting=fixed", "weighting=gradient_shares"],
    ),
    "option of a term": (
        ["loss=[forces_huber]", "+loss.forces_huber.hubr_delta=1"],
        ["loss.forces_huber", "hubr_delta", "'huber_delta'"],
    ),
    "option of a term in a stage": (
        ["train_schedule.0.loss={forces: {weight: 1, huber_delta: 2}}"],
        ["train_schedule.0.loss.forces", "huber_delta", "valid: weight"],
    ),
    "an option that is no number": (
        ["loss=[forces_huber]", "loss.forces_huber.huber_delta=wide"],
        ["loss.forces_huber.huber_delta", "'wide'"],
    ),
    "an option out of range": (
        ["loss=[forces_huber]", "loss.forces_huber.huber_delta=0"],
        ["loss.forces_huber.huber_delta", "0"],
    ),
    "a flag that is a number": (
        ["loss=[fixedpoint_scf_stability]", "loss.fixedpoint_scf_stability.smooth=1"],
        ["loss.fixedpoint_scf_stability.smooth", "true or false"],
    ),
    "negative weight": (["loss.forces.weight=-2.5"], ["loss.forces.weight", "-2.5"]),
    "NaN weight": (["loss.forces.weight=nan"], ["loss.forces.weight", "nan"]),
    "infinite weight": (["loss.forces.weight=inf"], ["loss.forces.weight", "inf"]),
    "a weight that is a word": (["loss.forces.weight=high"], ["loss.forces.weight", "'high'"]),
    "a weight that is a truth value": (["loss.forces.weight=true"], ["loss.forces.weight", "True"]),
    "a weight that is null": (["loss.forces.weight=null"], ["loss.forces.weight", "None"]),
    "a weight that is a list": (["loss.forces.weight=[1]"], ["loss.forces.weight", "[1]"]),
    "a weight that refers to nothing": (["loss.forces.weight=${x}"], ["loss.forces.weight", "'x'"]),
    "a weight of a search": ([*SMOKE, "loss.forces.weight=-1"], ["loss.forces.weight", "-1"]),
    "a weight in a stage": (
        ["train_schedule.0.loss={forces: -3}"],
        ["train_schedule.0.loss.forces.weight", "-3"],
    ),
    "a group that is null": (["trainer=null"], ["trainer=null", "must be a string or a list"]),
    "no sweeper": (["-m", "hydra.sweeper=null"], ["hydra.sweeper=null", "not configured"]),
    "no term": (["loss=[]"], ["loss", "no term"]),
    "no weight above 0": (["loss=[forces]", "loss.forces.weight=0"], ["loss", "above 0"]),
    "key": (["sead=1"], ["'sead'", "'seed'"]),
    "added key": (["+sead=1"], ["'sead'", "'seed'"]),
    "added key of the trainer": (["+trainer.batch_siz=3"], ["trainer.batch_siz", "'batch_size'"]),
    "added key of a stage": (["+train_schedule.0.lrr=3"], ["train_schedule.0.lrr", "'lr'"]),
    "key of the trainer": (["trainer.batch_siz=3"], ["trainer.batch_siz", "'batch_size'"]),
    "key of the model": (["model.r_mx=3"], ["model.r_mx", "'r_max'"]),
    "irreps": (["model.hidden_irreps=16x0e"], ["model.hidden_irreps", "it is model.num_channels"]),
    "added key of the model": (["+model.r_mx=3"], ["model", "'r_mx'", "'r_max'"]),
    "term of a stage without a loss": (
        ["train_schedule.0.loss.forces=3"], ["loss.forces.weight", "'train_schedule.0.loss={forces"]
    ),
    "quantity as a term": (["loss=[energy,forces]"], ["did you mean 'energy_per_atom'"]),
    "label of atoms among those of configurations": (
        ["heads.water_clusters.info_keys.forces=F"],
        ["it belongs in arrays_keys", "'+heads.water_clusters.arrays_keys.forces"],
    ),
    "units": (["+heads.water_clusters.units=eV"], ["units are eV"]),
    "key of a stage": (["train_schedule.0.lrr=3"], ["train_schedule.0.lrr", "'lr'"]),
    "stage": (["train_schedule.7.lr=3"], ["train_schedule.7", "valid: 0"]),
    "key of the objective": (["objective.metric=[energy]"], ["objective.metric", "'metrics'"]),
    "key of the search": (["search.referenc=forces"], ["search.referenc", "'reference'"]),
    "key of the data": (
        ["heads.water_clusters.valid_fil=a.xyz"],
        ["heads.water_clusters.valid_fil", "'valid_file'"],
    ),
    "key of the sweeper": ([*SMOKE, "hydra.sweeper.n_trails=3"], ["n_trails", "'n_trials'"]),
    "key of the sampler": (
        [*SMOKE, "hydra.sweeper.sampler.n_startup=3"],
        ["hydra.sweeper.sampler.n_startup", "'n_startup_trials'"],
    ),
    "argument of the sampler": (
        [*SMOKE, "+hydra.sweeper.sampler.n_startup=3"],
        ["hydra.sweeper.sampler", "n_startup"],
    ),
    "argument of the pruner": (
        [*SMOKE, "+hydra.sweeper.pruner.patience=3"],
        ["hydra.sweeper.pruner", "patience"],
    ),
    "class of the sampler": (
        [*SMOKE, "hydra.sweeper.sampler._target_=optuna.samplers.Genetic"],
        ["hydra.sweeper.sampler", "Genetic"],
    ),
    "sampler": ([*SMOKE, "hydra/sweeper/sampler=tpee"], ["hydra/sweeper/sampler", "'tpe'"]),
    "option of a group": (["model=local_charge"], ["model", "'local_charge'", "'local_charges'"]),
    "experiment": (["+experiment=smok"], ["experiment", "'smok'", "'smoke'"]),
    "a value of another type": (["seed=first"], ["seed", "'first'"]),
    "a seed out of range": (["seed=-1"], ["seed", "-1"]),
    "schedulefree": (["trainer.optimizer=schedulefree"], ["averages", "trainer.ema=false"]),
    "optimizer": (["trainer.optimizer=adamm"], ["trainer.optimizer", "'adamm'", "'adam'"]),
    "batch size": (["trainer.batch_size=0"], ["trainer.batch_size", "at least 1", "got 0"]),
    "patience": (["trainer.patience=0"], ["trainer.patience", "at least 1", "got 0"]),
    "patience that is a word": (["trainer.patience=long"], ["trainer.patience", "'long'"]),
    "evaluations": (["trainer.eval_interval=0"], ["trainer.eval_interval", "at least 1"]),
    "evaluations that are none": (["trainer.eval_interval=null"], ["trainer.eval_interval"]),
    "EMA decay": (["trainer.ema_decay=nan"], ["trainer.ema_decay", "nan"]),
    "device": (["trainer.device=gpu"], ["trainer.device", "'gpu'"]),
    "learning rate": (["train_schedule.0.lr=0"], ["train_schedule.0.lr", "positive"]),
    "end before start": (["train_schedule.0.end=-1"], ["train_schedule.0.end", "-1"]),
    "a gap between stages": (
        ["schedule=two_stages", "train_schedule.1.start=120"],
        ["train_schedule.1.start", "100", "120"],
    ),
    "metric": (["objective.metrics=[energy,force]"], ["objective.metrics", "'force'", "'forces'"]),
    "no metric": (["objective.metrics=[]"], ["objective.metrics", "empty"]),
    "a metric twice": (["objective.metrics=[dipole,dipole]"], ["objective.metrics", "twice"]),
    "statistic": (["objective.statistic=mse"], ["objective.statistic", "'mse'", "'rmse'"]),
    "model family": (["model.family=local"], ["model.family", "'local'"]),
    "model value": (["model.max_ell=0"], ["model.max_ell", "max_L"]),
    "stages of a self-consistent model": (
        ["model=fixed_point"], ["train_schedule.0.fixed_point_training_options", "mode: direct"],
    ),
    "stages of another model": (
        ["schedule=direct_unroll"],
        ["train_schedule.0.fixed_point_training_options", "'fixed_point'", "'local_charges'"],
    ),
    "mode": (
        ["model=fixed_point", "schedule=direct_unroll",
         "train_schedule.1.fixed_point_training_options.mode=unrol_scf"],
        ["train_schedule.1.fixed_point_training_options.mode", "'unroll_scf'"],
    ),
    "added option of a mode": (
        ["model=fixed_point", "schedule=direct_unroll",
         "+train_schedule.1.fixed_point_training_options.scf.tolerance=1e-6"],
        ["train_schedule.1.fixed_point_training_options.scf", "'scf_tolerance'"],
    ),
    "option of a mode": (
        ["model=fixed_point", "schedule=direct_unroll",
         "train_schedule.1.fixed_point_training_options.scf.mixing_paramter=0.5"],
        ["train_schedule.1.fixed_point_training_options.scf.mixing_paramter", "'mixing_parameter'"],
    ),
    "a reference without a weight": (["search.reference=esps"], ["search.reference", "'esps'"]),
    "fit name": (["fit_name=a/b"], ["fit_name", "'a/b'"]),
    "not an override": (["forces"], ["forces"]),
    "a missing value": (["trainer.batch_size=???"], ["trainer.batch_size", "no value given"]),
}  # fmt: skip

SEARCHES = {
    "no search": (["-m"], ["hydra.sweeper.params", "empty"]),
    "a parameter without a key": (
        [*SMOKE, "loss.dipole.weight=interval(1, 2)"],
        ["hydra.sweeper.params['loss.dipole.weight']", "'dipole'", "valid: atomic_multipoles"],
    ),
    "a parameter of a stage without a loss": (
        [*SMOKE, "train_schedule.1.loss.forces.weight=interval(1, 2)"],
        ["train_schedule.1.loss.forces.weight", "train_schedule.1.loss"],
    ),
    "a parameter that is a group of keys": (
        [*SMOKE, "train_schedule.0=choice(1, 200)"],
        ["hydra.sweeper.params['train_schedule.0']", "group"],
    ),
    "default above the range": (esps("interval(2, 3)"), ["loss.esps.weight", "interval(2.0, 3.0)"]),
    "default not among the choices": (esps("choice(2, 3)"), ["loss.esps.weight", "choice(2, 3)"]),
    "default between two steps": (esps("range(0, 9, 3)"), ["loss.esps.weight", "1.0"]),
    "log from 0": (esps("tag(log, interval(0, 9))"), ["loss.esps.weight", "above 0"]),
    "turned ends": (esps("interval(9, 0.1)"), ["loss.esps.weight", "9.0 and 0.1"]),
    "equal ends": (esps("interval(1, 1)"), ["loss.esps.weight", "1.0 and 1.0"]),
    "infinite end": (esps("interval(1, inf)"), ["loss.esps.weight", "inf"]),
    "step of 0": (esps("range(0, 9, 0)"), ["loss.esps.weight", "step"]),
    "step back": (esps("range(0, 9, -1)"), ["loss.esps.weight", "step"]),
    "log with a step": (esps("tag(log, range(1, 9, 2))"), ["loss.esps.weight", "step"]),
    "int with fractions": (esps("tag(int, interval(0.5, 9))"), ["loss.esps.weight", "whole"]),
    "tag": (esps("tag(lgo, interval(1, 9))"), ["loss.esps.weight", "'lgo'", "'log'"]),
    "end that is a word": (esps("interval(1, high)"), ["loss.esps.weight", "high"]),
    "one end": (esps("interval(1)"), ["loss.esps.weight=interval(1)"]),
    "no closing bracket": (esps("interval(1,"), ["interval(1,"]),
    "list as a choice": (esps("choice([1], 1)"), ["loss.esps.weight", "[1]"]),
    "negative end": (esps("interval(-2, 2)"), ["loss.esps.weight", "-2.0", "not negative"]),
    "negative choice": (esps("choice(-2, 1)"), ["loss.esps.weight", "-2", "not negative"]),
    "learning rate of 0": (
        [*SMOKE, "train_schedule.0.lr=interval(0.0, 1.0)"],
        ["train_schedule.0.lr", "interval(0.0, 1.0)", "positive"],
    ),
    "fractions for a whole number": (
        [*SMOKE, "trainer.batch_size=interval(1, 20)"],
        ["trainer.batch_size", "interval(1.0, 20.0)", "Integer"],
    ),
    "fractions for the seed": (
        [*SMOKE, "+seed=interval(0, 3)"],
        ["hydra.sweeper.params['seed']", "Integer"],
    ),
    "no trial": ([*SMOKE, "hydra.sweeper.n_trials=0"], ["hydra.sweeper.n_trials", "got 0"]),
    "trials that are a word": ([*SMOKE, "hydra.sweeper.n_trials=many"], ["n_trials", "'many'"]),
    "failure rate": (
        [*SMOKE, "hydra.sweeper.max_failure_rate=50"],
        ["hydra.sweeper.max_failure_rate", "50"],
    ),
    "a study without a name": ([*SMOKE, "hydra.sweeper.study_name="], ["study_name", "''"]),
    "a study name that is a path": (
        [*SMOKE, "hydra.sweeper.study_name=../other"],
        ["hydra.sweeper.study_name", "'../other'"],
    ),
}  # fmt: skip

DATA = {
    "no file": (["data=extxyz"], ["heads.default.train_file", "no value given"]),
    "missing training file": (
        [*OWN, "heads.default.train_file=nowhere.xyz"],
        ["'nowhere.xyz'", "does not exist"],
    ),
    "missing validation file": ([*OWN, "heads.default.valid_file=v.xyz"], ["'v.xyz'", "not exist"]),
    "missing test file": ([*OWN, "heads.default.test_file=t.xyz"], ["'t.xyz'", "not exist"]),
    "missing file of a search": (
        [*OWN, *SEARCH, "heads.default.train_file=nowhere.xyz"],
        ["'nowhere.xyz'", "does not exist"],
    ),
    "a folder": ([*OWN, "heads.default.train_file=."], ["'.'", "holds no file"]),
    "shipped file": (
        ["heads.water_clusters.train_file=${shipped_data:water_clusters/trian.xyz}"],
        ["water_clusters/trian.xyz", "water_clusters/train.xyz"],
    ),
    "comment-line key in no configuration": (
        [*OWN, "heads.default.info_keys.energy=REF_enrgy"],
        ["water.xyz", "'REF_enrgy'", "info_keys.energy", "'REF_energy'"],
    ),
    "column in no configuration": (
        [*OWN, *SEARCH, "heads.default.arrays_keys.forces=F"],
        ["water.xyz", "'F'", "arrays_keys.forces", "REF_forces"],
    ),
    "label": (
        [*OWN, "+heads.default.info_keys.dipol=REF_dipole"],
        ["info_keys", "'dipol'", "'dipole'"],
    ),
    "element only in the validation set": (
        [*OWN, *SEARCH, "heads.default.valid_file=argon.xyz"],
        ["argon.xyz", "valid", "Ar", "H, O"],
    ),
    "element only in the test set": (
        [*OWN, "heads.default.valid_file=water.xyz", "heads.default.test_file=argon.xyz"],
        ["argon.xyz", "test", "Ar"],
    ),
    "a weight of a kind that no configuration has": (
        [*OWN, "+heads.default.config_type_weights={bulk: 2}"],
        ["heads.default.config_type_weights", "'bulk'", "valid: Default"],
    ),
    "validation fraction": ([*OWN, "heads.default.valid_fraction=2"], ["valid_fraction", "2.0"]),
    "isolated energies": ([*OWN, "heads.default.E0s={H: -13}"], ["heads.default.E0s", "O"]),
}  # fmt: skip

# what a user's own file holds
FILES = {
    "top": ("sead: 1", ["sead", "'seed'"]),
    "foreign": ("max_num_epochs: 3", ["max_num_epochs", "it is train_schedule.0.end"]),
    "trainer_foreign": ("trainer: {lr: 3}", ["trainer.lr", "it is train_schedule.0.lr"]),
    "trainer": ("trainer: {batch_siz: 3}", ["trainer.batch_siz", "'batch_size'"]),
    "model": ("model: {r_mx: 3}", ["model", "r_mx", "'r_max'"]),
    "term": ("loss: {frces: 3}", ["loss.frces", "'forces'"]),
    "term_option": ("loss: {forces: {weight: 1, wait: 2}}", ["loss.forces", "wait", "'weight'"]),
    "weight": ("loss: {forces: -3}", ["loss.forces.weight", "-3"]),
    "text": ("loss: {forces: '3'}", ["loss.forces.weight", "'3'"]),
    "stage": ('train_schedule: {"0": {los: {forces: 1}}}', ["train_schedule.0.los", "'loss'"]),
    "stage_term": (
        'train_schedule: {"0": {loss: {forcs: 1}}}',
        ["train_schedule.0.loss.forcs", "'forces'"],
    ),
    "sweeper": ("hydra: {sweeper: {n_trails: 3}}", ["hydra.sweeper.n_trails", "'n_trials'"]),
    "head": ("heads: {water_clusters: {train_fil: a}}", ["train_fil", "'train_file'"]),
    "default": ("defaults: [override /model: big]", ["model", "'big'", "local_charges"]),
    "yaml": ("loss: [forces", ["yaml.yaml"]),
    "number": ("train_schedule: {0: {lr: 0.1}}", ["train_schedule.0", '"0"']),
}


def check(result, parts, folder):
    assert result.status == 1
    assert result.err.endswith("\n")
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize("name", ON_THE_COMMAND_LINE)
def test_configuration(command, folder, name):
    arguments, parts = ON_THE_COMMAND_LINE[name]
    check(command(*arguments), parts, folder)


@pytest.mark.parametrize("name", SEARCHES)
def test_search(command, folder, name):
    arguments, parts = SEARCHES[name]
    check(command(*arguments), parts, folder)


@pytest.mark.parametrize("name", DATA)
def test_data(command, folder, name):
    arguments, parts = DATA[name]
    check(command(*arguments), parts, folder)


@pytest.mark.parametrize("name", FILES)
def test_a_users_file(command, folder, name):
    text, parts = FILES[name]
    (folder / "experiment").mkdir()
    (folder / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    check(command("--config-dir", str(folder), f"+experiment={name}"), parts, folder)


def test_the_example_in_the_message_of_an_empty_search_works(command, folder):
    """Up to the next thing that is wrong here: the data file."""
    line = command("-m").err
    override = line.split("for example '")[1].rpartition("'")[0]
    file = "heads.water_clusters.train_file=nowhere.xyz"
    check(command("-m", override, file), ["nowhere.xyz"], folder)


def test_the_flag_for_a_search_may_stand_anywhere(command, folder):
    for arguments in (["-m", "seed=-1"], ["seed=-1", "-m", "fit_name=a"], ["seed=-1", "-m"]):
        check(command("loss.forces.weight=interval(1, 200)", *arguments), ["seed", "-1"], folder)


def test_a_folder_that_holds_something_stays(command, folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("kept")
    check(command("hydra.run.dir=mine", "seed=-1"), ["seed", "-1"], folder)
    assert (folder / "mine" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("flag", ["--config-dir", "-cd", "--config-dir="])
@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["a: &a [x, x, x, x]", *(f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]"
                                  for m, n in zip("abcdefgh", "bcdefghi", strict=True))],
         "anchors stand for 2e+08 values"),
        (["a: &a", "  - *a"], "an anchor holds itself"),
    ],
)  # fmt: skip
def test_anchors_that_stand_for_too_much(command, folder, flag, lines, word):
    (folder / "own" / "experiment").mkdir(parents=True)
    text = "\n".join(["# @package _global_", "model:", *(f"  {line}" for line in lines), ""])
    (folder / "own" / "experiment" / "bomb.yaml").write_text(text)
    where = [f"{flag}own"] if flag.endswith("=") else [flag, "own"]
    result = command(*where, "+experiment=bomb")
    assert result.status == 1
    assert result.err.startswith("error: own/experiment/bomb.yaml: ")
    assert word in result.err


def test_a_list_is_no_configuration(command, folder):
    (folder / "own" / "experiment").mkdir(parents=True)
    (folder / "own" / "experiment" / "mine.yaml").write_text("- 1\n- 2\n")
    result = command("--config-dir", "own", "+experiment=mine")
    assert result.status == 1
    assert result.err.startswith("error: own/experiment/mine.yaml: is a list; ")
