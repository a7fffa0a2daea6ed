"""What MACE_SCF does by the keys that are not used here: a phrase for each, for the table of them.

Of keys that it shares with ``mace_run_train`` as mace-torch 0.3.16 reads them, of others as its
manual says.
"""

from __future__ import annotations

__all__ = ["effect_of"]

_LINES = """
radial_type: chooses the radial functions
pair_repulsion: adds the ZBL repulsion of every pair to the energy
distance_transform: transforms distances before the radial functions
apply_cutoff: lets the radial functions go to 0 at r_max
use_last_readout_only: takes the energy from the last layer alone
use_embedding_readout: adds an energy that is read off the embedding
use_reduced_cg: leaves out coupling paths that depend on others
use_so3: features without a parity
use_agnostic_product: one product basis for all elements
edge_irreps: irreps of the features on edges
use_edge_irreps_first: these irreps in the first layer, too
scaling: scales energies by the rms of the forces, by their own spread, or not at all
include_electrostatic_self_interaction: adds the energy of every atom's multipoles with themselves
quadrupole_feature_corrections: corrects field features for quadrupoles in cells
dont_include_pbc_corrections: leaves out the corrections of cells that are not periodic throughout
field_norm_factor: divides all field features
use_linear_final_readout: a linear last readout in place of an MLP
use_linear_local_charges: charges by a linear readout
fixedpoint_update_config: chooses the update of the density and its options
field_readout_config: chooses the readout of the field features and its options
field_block_weight_decay: a weight decay of its own for the blocks of the field
local_charges_weight_decay: a weight decay of its own for the blocks of the charges
fixedpoint_initial_charge_head_scale: scales the density that the iteration starts from
lr_params_factors: multiplies the learning rate of groups of parameters
lbfgs: optimises with L-BFGS, a step per epoch
compute_forces: whether forces are computed and trained
freeze: keeps the parameters of the first or last layers
foundation_model: begins with the parameters of a trained model
lora: trains corrections of low rank to a trained model
formal_charge_noise_sigma: adds noise to formal charges
keep_isolated_atoms: trains on isolated atoms, too
work_dir: where all results go
log_dir: where logs go
model_dir: where the final model goes
checkpoints_dir: where checkpoints go
results_dir: where the errors of every epoch go
downloads_dir: where downloaded models go
log_level: how much is logged
log_all_ranks: logs of every process
plot: plots errors at the end
plot_frequency: plots every so many epochs
plot_interaction_e: plots energies without E0s
save_cpu: saves the model for a CPU
keep_checkpoints: keeps checkpoints of all epochs that were better
save_all_checkpoints: keeps those of every epoch
error_table: which errors are printed
log_on_test_sets: errors of the test sets in every epoch
skip_scf_convergence_summary: no table of how the iteration converges
scf_convergence_summary: a table of how the iteration converges
debug_log_grad_summary: logs gradients of parameters
wandb: records the run in Weights and Biases
wandb_dir: its folder
wandb_project: its project
wandb_entity: its user or team
wandb_name: its name of the run
wandb_log_hypers: which keys are recorded there
wandb_watch: records gradients there
wandb_watch_log_freq: how often
config: the file itself
distributed: one training on several GPUs
launcher: how its processes were started
num_workers: processes that prepare batches
pin_memory: memory of batches that a GPU reads faster
restart_latest: goes on from the last checkpoint
dry_run: ends before the first step
enable_cueq: kernels of cuequivariance
only_cueq: a model of its layers alone
enable_oeq: kernels of openequivariance
eval_interval: validates every so many epochs; the best of those is kept
patience: ends after so many validations without a smaller weighted loss, first the first stage
max_num_epochs: ends after so many epochs
loss: chooses the loss
lr: learning rate
swa: a second stage
start_swa: its first epoch
swa_lr: its learning rate
stage_two: a second stage
start_stage_two: its first epoch
huber_delta: where the loss becomes linear
forces_weight: weight of the forces
energy_weight: weight of the energy
virials_weight: weight of the virials
stress_weight: weight of the stress
dipole_weight: weight of the dipole
polarizability_weight: weight of the polarizability
swa_forces_weight: weight of the forces in the second stage
swa_energy_weight: weight of the energy in the second stage
swa_virials_weight: weight of the virials in the second stage
swa_stress_weight: weight of the stress in the second stage
swa_dipole_weight: weight of the dipole in the second stage
swa_polarizability_weight: weight of the polarizability in the second stage
atomic_numbers: elements of the model
mean: shift of the energy per atom
std: scale of the energy
statistics_file: elements, E0s, shift and scale from a file
avg_num_neighbors: divides the messages
compute_avg_num_neighbors: whether that is computed
atom_density_scaling: divides by the density around each atom instead
test_dir: a folder of test files
multi_processed_test: how these were made
energy_key: key of the energy in the files
forces_key: key of the forces
virials_key: key of the virials
stress_key: key of the stress
dipole_key: key of the dipole
polarizability_key: key of the polarizability
head_key: key of the head
charges_key: key of the charges
elec_temp_key: key of the electronic temperature
total_spin_key: key of the multiplicity
total_charge_key: key of the total charge
atomic_multipoles_key: key of the multipoles
electrostatic_potentials_key: key of the potentials
external_field_key: key of the field
fermi_level_key: key of the Fermi level
enegs_key: key of the electronegativities
embedding_specs: embeds charge, spin or temperature of a configuration in its atoms
compute_stress: whether the stress is computed
compute_polarizability: whether the polarizability is computed
compute_atomic_dipole: whether atomic dipoles are computed
return_electrostatic_potentials: whether potentials are returned
allow_low_density_pbc: takes cells with much empty space
override_pbc_checks: takes any cell
low_density_pbc_max_volume_per_atom: from which volume on it is much
pseudolabel_replay: labels replayed data by the trained model
pseudolabel_replay_compute_stress: their stress, too
foundation_filter_elements: keeps the elements of the data alone
multiheads_finetuning: trains on data of the trained model, too
foundation_head: which head of the trained model
weight_pt_head: weight of its data
real_pt_data_ratio_threshold: from which ratio on one's own data are repeated
num_samples_pt: how many of its configurations
force_mh_ft_lr: takes lr for it as it is
subselect_pt: how they are chosen
filter_type_pt: by which elements they are chosen
allow_random_padding_pt: fills up with random ones
disallow_random_padding_pt: does not fill up with random ones
pt_train_file: their file
pt_valid_file: their file for the validation
foundation_model_elements: keeps all elements of the trained model
foundation_model_kwargs: options of its download
foundation_model_readout: takes its readouts, too
lora_rank: rank of these corrections
lora_alpha: their scale
skip_evaluate_heads: heads without errors in the end
atomic_formal_charges: formal charges of the elements
formal_charges_from_data: formal charges of the files
static_bond_transfer_block: moves charge along bonds
oxidation_state_mixer: mixes oxidation states
oxidation_state_range: which ones
polarizable_charges: charges that polarise each other
qeq_charges: charges by equilibration
train_hardness: trains hardnesses
read_enegs: electronegativities of the files
read_hardness: hardnesses of the files
default_hardness: hardness of the other elements
les_arguments: options of latent Ewald summation
num_recursion_steps: steps of PolarMACE's recursion
field_si: the field of an atom on itself
add_local_electron_energy: adds PolarMACE's local energy of the electrons
reset_optimizer: begins the stage with a new optimizer: moments and averages start afresh
reset_ema: begins the stage with new averages of the parameters
freeze_foundation_backbone: trains the new parameters alone in this stage
head: which of several heads is trained on the configuration
charges: charges of atoms
virials: minus the stress times the volume
elec_temp: electronic temperature
enegs: electronegativities
hardness: hardnesses
magmoms: magnetic moments
rho_fftn: the density on a grid
field_feature_max_l: largest l of the field features
field_feature_widths: widths of the field features
field_feature_norms: divides the field features
include_field_si: the field of an atom on itself
include_local_electron_energy: an energy of the electrons on each atom
fermi_level_offset: shifts the Fermi level
kspace_cutoff_factor: how far the sums over waves go
electrostatic_pbc_method: boundary conditions of the electrostatics
atomic_multipoles_max_l: largest l of the multipoles
atomic_multipoles_smearing_width: width of the multipoles
ema: averages the parameters
beta1_schedulefree: nothing; of mace_run_train
beta2_schedulefree: nothing; of mace_run_train
warmup_steps_schedulefree: steps in which the learning rate rises
"""

_EFFECTS = {
    key: effect for key, _, effect in (line.partition(": ") for line in _LINES.strip().splitlines())
}


def effect_of(key: str) -> str:
    """What MACE_SCF does by a key that is not used or different here, in a phrase.

    Args:
        key: A key, in a stage or a head behind its path; empty for those that are taken.
    """
    name = key.rpartition(".")[2]
    if key.startswith("train_schedule.") and name.endswith("_lr"):
        group = name.removesuffix("_lr")
        return f"learning rate of the parameters '{group}' in this stage"
    if key.startswith("heads.") and name.endswith("_weight"):
        return "weight of the label in every configuration"
    return _EFFECTS.get(name, "")
