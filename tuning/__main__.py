"""`python -m tuning` is the command `segtune`."""

from tuning.cli import main

if __name__ == "__main__":
    main()
