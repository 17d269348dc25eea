"""``python -m liqheat``."""

from liqheat.cli import main

if __name__ == "__main__":
    main()
