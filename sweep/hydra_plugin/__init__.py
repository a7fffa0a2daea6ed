"""The adapter to Hydra: the sweeper that ``python -m sweep -m`` runs, and its registration.

It translates Hydra's configuration into a :class:`sweep.study.spec.StudySpec` and calls down;
nothing but the command line and the tests imports it.
"""
