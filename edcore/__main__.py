"""``python -m edcore`` is the command line."""

from edcore.cli import main

if __name__ == "__main__":
    main()
