"""``python -m sweep.data.generate NAME``: make a shipped data set again."""

from sweep.datagen.generate import main

if __name__ == "__main__":
    raise SystemExit(main())
