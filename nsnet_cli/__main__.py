"""`python -m nsnet_cli` and the `nsnet` script. Imports nothing heavy: worker processes import this module too."""

import sys


def main() -> None:
    from nsnet_cli.cli.app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
