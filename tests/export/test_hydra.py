"""The winner as an experiment of our own, and as JSON."""

import json

import pytest
import yaml
from exported_trials import SCF, TWO
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.export.hydra import as_json, hydra
from sweep.export.winner import select
from sweep.files import write_json, write_text


def test_json_holds_everything(winner):
    chosen = winner(*TWO, options=(None, SCF), params={"loss.esps.weight": 12345678.901234567})
    content = json.loads(as_json(chosen))
    assert content["stages"][0] == chosen.trial.stages[0].as_json()
    assert content["stages"][1]["fixed_point_training_options"] == SCF
    assert content["params"] == chosen.trial.params
    assert (content["study"], content["trial"], content["score"]) == ("my study", 3, 0.25)
    assert len(content["config_sha256"]) == 16


class TestHydra:
    OVERRIDES = (
        "+experiment=esp_weights", "weighting=fixed", "search=esp_weights",
        "hydra/sweeper/sampler=tpe", "heads.water_clusters.valid_file=null", "loss.esps.weight=3.7",
        "heads.water_clusters.valid_fraction=0.3", "seed=5", "model.r_max=3.25",
        "+heads.water_clusters.config_type_weights={water_2: 3.0}",
        "+train_schedule.1.loss={forces:12.5,forces_huber:{weight:2.0,huber_delta:0.5}}",
    )  # fmt: skip

    @pytest.fixture
    def trained(self, tmp_path):
        """A trial's folder as a sweep writes it, without the training."""
        from sweep.hydra_plugin.registration import register

        register()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = compose("config", list(self.OVERRIDES), return_hydra_config=True)
        node = {"hydra": {
            "sweeper": OmegaConf.to_container(cfg.hydra.sweeper, resolve=False),
            "runtime": {"choices": OmegaConf.to_container(cfg.hydra.runtime.choices)},
        }}  # fmt: skip
        cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
        folder = tmp_path / "mine" / "trials" / "0000"
        write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(cfg))
        write_text(folder / ".hydra" / "hydra.yaml", yaml.safe_dump(node))
        stages = [
            {"name": s.name, "start": s.start, "end": s.end, "lr": s.lr, "loss": s.loss}
            for s in check_config(cfg)
        ]
        params = {"loss.esps.weight": 3.7, "train_schedule.0.lr": 0.03}
        content = {
            "number": 0,
            "state": "COMPLETE",
            "score": 1.0,
            "stages": stages,
            "params": params,
        }
        write_json(folder / "trial.json", content)
        return cfg, folder

    def test_the_experiment_composes_to_the_trial(self, trained, tmp_path):
        cfg, folder = trained
        text = hydra(select(tmp_path / "mine", None))
        assert text.startswith("# @package _global_\n")
        assert "Searched on the command line, not here: train_schedule.0.lr" in text
        write_text(tmp_path / "conf" / "experiment" / "best.yaml", text)
        search = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "+experiment=best"]
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            again = compose("config", search, return_hydra_config=True)
        composed = OmegaConf.masked_copy(again, [key for key in again if key != "hydra"])
        assert composed == cfg
        recorded = json.loads((folder / "trial.json").read_text())["stages"]
        assert [s.loss for s in check_config(composed)] == [s["loss"] for s in recorded]
        sweeper = again.hydra.sweeper
        assert sweeper.study_name == "mine_from_0"
        assert sweeper.params["loss.esps.weight"] == "tag(log, interval(0.1, 100))"
        assert sweeper.sampler._target_.endswith("TPESampler")

    def test_other_weights_than_trained_are_refused(self, trained, tmp_path):
        _, folder = trained
        path = folder / ".hydra" / "config.yaml"
        path.write_text(path.read_text().replace("3.7", "3.8"))
        with pytest.raises(InputError, match=r"config.yaml: gives other weights than trial.json"):
            hydra(select(tmp_path / "mine", None))
        path.write_text("loss: {forces: 1.0}\n")
        with pytest.raises(InputError, match="is not a configuration of this program"):
            hydra(select(tmp_path / "mine", None))
        path.unlink()
        with pytest.raises(InputError, match=r"config.yaml: cannot be read"):
            hydra(select(tmp_path / "mine", None))
