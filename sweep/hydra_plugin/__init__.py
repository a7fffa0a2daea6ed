"""The Hydra sweeper: an adapter that nothing else imports."""
