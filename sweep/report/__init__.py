"""Reports: they read what trials recorded, and import neither torch nor training."""
