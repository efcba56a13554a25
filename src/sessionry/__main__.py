"""`python -m sessionry` is `sessionry`."""

from sessionry.cli import main

if __name__ == "__main__":
    main()
