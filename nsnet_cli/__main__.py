"""`python -m nsnet_cli` and the `nsnet` script. Imports nothing heavy: worker processes import this module too."""

import sys


def main() -> None:
    try:
        from nsnet_cli.cli.app import leave, run
    except KeyboardInterrupt:
        sys.exit(130)
    leave(run())


if __name__ == "__main__":
    main()
