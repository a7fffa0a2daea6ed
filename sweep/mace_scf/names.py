"""The keys of MACE_SCF's configuration, and why some of them have no meaning here.

They are the arguments of its ``run_train.py``: those of ``mace_run_train`` and its own. A test
compares the former with the installed mace.
"""

from __future__ import annotations

__all__ = [
    "FIXED", "LABELS_ELSEWHERE", "MODELS", "MODEL_DEFAULTS", "NOT_USED", "STAGE_NOT_USED",
    "TRAINER_DEFAULTS", "known_names",
]  # fmt: skip

MODELS = {
    "LocalCharges": "local_charges",
    "FixedPoint": "fixed_point",
    "ScaleShiftMACE": "mace",
    "MACE": "mace",
}
"""MACE_SCF's models and the family that each is here."""

MODEL_DEFAULTS: dict[str, object] = {
    "hidden_irreps": "128x0e + 128x1o",
    "r_max": 5.0,
    "num_radial_basis": 8,
    "num_cutoff_basis": 5,
    "max_ell": 3,
    "interaction": "RealAgnosticResidualInteractionBlock",
    "interaction_first": "RealAgnosticResidualInteractionBlock",
    "num_interactions": 2,
    "correlation": 3,
    "radial_MLP": [64, 64, 64],
    "MLP_irreps": "16x0e",
    "gate": "silu",
    "atomic_multipoles_max_l": 1,
    "atomic_multipoles_smearing_width": 1.5,
    "kspace_cutoff_factor": 1.25,
    "include_electrostatic_self_interaction": True,
    "electrostatic_pbc_method": "mixed_periodic",
    "field_feature_max_l": 1,
    "field_feature_widths": [1.0, 2.0],
    "field_feature_norms": None,
    "include_field_si": False,
    "include_local_electron_energy": True,
    "fermi_level_offset": None,
}
"""MACE_SCF's defaults of the keys that describe the model."""

TRAINER_DEFAULTS: dict[str, object] = {
    "batch_size": 10,
    "valid_batch_size": 10,
    "optimizer": "schedulefree",
    "amsgrad": True,
    "beta": 0.9,
    "beta_two": 0.999,
    "weight_decay": 5e-7,
    "ema": False,
    "ema_decay": 0.99,
    "clip_grad": 10.0,
    "scheduler": "ReduceLROnPlateau",
    "lr_factor": 0.8,
    "scheduler_patience": 50,
    "lr_scheduler_gamma": 0.9993,
    "default_dtype": "float64",
    "device": "cpu",
}
"""MACE_SCF's defaults of the keys that describe the training."""

FIXED: dict[str, tuple[object, str]] = {
    "radial_type": ("bessel", "the radial functions are Bessel functions"),
    "pair_repulsion": (False, "there is no pair repulsion"),
    "distance_transform": (None, "distances are not transformed"),
    "apply_cutoff": (True, "the radial functions end at r_max"),
    "use_last_readout_only": (False, "every layer is read out"),
    "use_embedding_readout": (False, "the embedding is not read out"),
    "use_reduced_cg": (False, "all coupling paths are used"),
    "use_so3": (False, "features have a parity"),
    "use_agnostic_product": (False, "products depend on the element"),
    "edge_irreps": (None, "edges have the irreps of the nodes"),
    "use_edge_irreps_first": (False, "edges have the irreps of the nodes"),
    "scaling": ("rms_forces_scaling", "energies are scaled by the forces"),
    "quadrupole_feature_corrections": (False, "there are none"),
    "dont_include_pbc_corrections": (False, "the corrections follow from the boundary conditions"),
    "field_norm_factor": (1.0, "field features are divided by field_feature_norms alone"),
    "use_linear_final_readout": (False, "the last readout is not linear"),
    "use_linear_local_charges": (False, "there is one kind of local density"),
    "fixedpoint_update_config": (None, "the fixed_point family has one update"),
    "field_readout_config": (None, "the fixed_point family has one field readout"),
    "field_block_weight_decay": (5e-7, "trainer.weight_decay holds for all blocks"),
    "local_charges_weight_decay": (5e-7, "trainer.weight_decay holds for all blocks"),
    "fixedpoint_initial_charge_head_scale": (1.0, "the first density is that of the statistics"),
    "lr_params_factors": (None, "all parameters have one learning rate"),
    "lbfgs": (False, "the optimizer is adam, adamw or schedulefree"),
    "compute_forces": (True, "forces are computed"),
    "freeze": (None, "all parameters are trained"),
    "foundation_model": (None, "trainings begin with random parameters"),
    "lora": (False, "all parameters are trained"),
    "formal_charge_noise_sigma": (None, "there are no formal charges"),
    "keep_isolated_atoms": (False, "isolated atoms give E0s and are not trained on"),
}  # fmt: skip
"""Keys that could change the training, the value that this program has, and its reason."""

_GROUPS: tuple[tuple[str, str], ...] = (
    (
        "results go to outputs/",
        "work_dir log_dir model_dir checkpoints_dir results_dir downloads_dir log_level "
        "log_all_ranks plot plot_frequency plot_interaction_e save_cpu keep_checkpoints "
        "save_all_checkpoints "
        "error_table log_on_test_sets skip_scf_convergence_summary scf_convergence_summary "
        "debug_log_grad_summary",
    ),
    (
        "tracking=wandb records trials there",
        "wandb wandb_dir wandb_project wandb_entity wandb_name wandb_log_hypers wandb_watch "
        "wandb_watch_log_freq",
    ),
    (
        "see hydra/launcher and hydra.sweeper",
        "config distributed launcher num_workers pin_memory restart_latest dry_run",
    ),
    (
        "beta and beta_two are those of schedulefree, too, which has no warm-up",
        "beta1_schedulefree beta2_schedulefree warmup_steps_schedulefree",
    ),
    ("not available", "enable_cueq only_cueq enable_oeq"),
    (
        "train_schedule says it",
        "max_num_epochs loss lr swa start_swa swa_lr stage_two start_stage_two huber_delta "
        "forces_weight energy_weight virials_weight stress_weight dipole_weight "
        "polarizability_weight "
        "swa_forces_weight swa_energy_weight swa_virials_weight swa_stress_weight "
        "swa_dipole_weight swa_polarizability_weight",
    ),
    (
        "taken from the training set",
        "atomic_numbers mean std statistics_file avg_num_neighbors compute_avg_num_neighbors "
        "atom_density_scaling",
    ),
    ("data are extxyz files with a test_file", "test_dir multi_processed_test"),
    ("heads maps the labels", "energy_key forces_key virials_key stress_key dipole_key "
     "polarizability_key head_key charges_key elec_temp_key total_spin_key total_charge_key "
     "atomic_multipoles_key electrostatic_potentials_key external_field_key fermi_level_key "
     "enegs_key embedding_specs"),
    ("the terms and the model say it", "compute_stress compute_polarizability "
     "compute_atomic_dipole return_electrostatic_potentials"),
    ("pbc of the data files and model.pbc_handling say it", "allow_low_density_pbc "
     "override_pbc_checks low_density_pbc_max_volume_per_atom"),
    (
        "trainings begin with random parameters",
        "pseudolabel_replay pseudolabel_replay_compute_stress foundation_filter_elements "
        "multiheads_finetuning foundation_head weight_pt_head real_pt_data_ratio_threshold "
        "num_samples_pt force_mh_ft_lr subselect_pt filter_type_pt allow_random_padding_pt "
        "disallow_random_padding_pt pt_train_file pt_valid_file foundation_model_elements "
        "foundation_model_kwargs foundation_model_readout lora_rank lora_alpha "
        "skip_evaluate_heads",
    ),
    (
        "of models that are no family here",
        "atomic_formal_charges formal_charges_from_data static_bond_transfer_block "
        "oxidation_state_mixer oxidation_state_range polarizable_charges qeq_charges "
        "train_hardness read_enegs read_hardness default_hardness les_arguments "
        "num_recursion_steps field_si add_local_electron_energy",
    ),
)  # fmt: skip

NOT_USED = {name: reason for reason, names in _GROUPS for name in names.split()}
"""Keys without a meaning here, and the reason."""

STAGE_NOT_USED = {
    "reset_optimizer": "the optimizer goes on from stage to stage",
    "reset_ema": "the averaged parameters go on from stage to stage",
    "freeze_foundation_backbone": "all parameters are trained",
}
"""Keys of a stage without a meaning here; so are learning rates of parameter groups."""

LABELS_ELSEWHERE = {
    "head": "there is one head",
    "charges": "formal charges are of models that are no family here",
    "virials": "stress is trained instead",
    "elec_temp": "no model takes it",
    "enegs": "of a model that is no family here",
    "hardness": "of a model that is no family here",
    "magmoms": "no model takes it",
    "rho_fftn": "the density on a grid, of newer versions: no model takes it",
}
"""Labels of MACE and MACE_SCF without a meaning here, or of which another one is taken."""

_USED = (
    "name", "seed", "heads", "train_schedule", "train_file", "valid_file", "test_file",
    "valid_fraction", "valid_set_seed", "E0s", "config_type_weights", "model",
    "num_channels", "max_L", "patience", "eval_interval",
)  # fmt: skip


def known_names() -> set[str]:
    """All keys that MACE_SCF knows."""
    return {*_USED, *MODEL_DEFAULTS, *TRAINER_DEFAULTS, *FIXED, *NOT_USED}
