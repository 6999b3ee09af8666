"""Runs `python -m nsnet_cli` and the `nsnet` script. Imports nothing heavy, so that decoding can start first."""

import sys


def main() -> None:
    if sys.platform == "win32":
        sys.exit("nsnet: Windows is not supported: decoding needs what only Linux and macOS have\n  use WSL")
    try:
        from nsnet_cli import startup

        startup.begin(sys.argv[1:])
        from nsnet_cli.cli.app import run
    except KeyboardInterrupt:
        sys.exit(130)
    startup.leave(run())


if __name__ == "__main__":
    main()
