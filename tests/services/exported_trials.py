"""Trials that are exported."""

SCF = {"mode": "unroll_scf", "scf": {"num_scf_steps": 10, "mixing_parameter": 0.3}}
OBJECTIVE = {"metrics": ["energy"], "statistic": "rmse"}
TWO = (
    {"forces": 1e-05, "energy_per_atom": 1 / 3, "esps": 12345678.901234567},
    {"forces_huber": {"weight": 7.0, "huber_delta": 0.1}, "dipole": 100.0},
)


def stage(index, loss, start, end, lr=0.01):
    loss = {
        name: term if isinstance(term, dict) else {"weight": term} for name, term in loss.items()
    }
    return {"name": f"stage{index}", "start": start, "end": end, "lr": lr, "loss": loss}
