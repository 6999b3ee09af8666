"""`python -m nsnet_cli` and the `nsnet` script. Imports nothing heavy: worker processes import this module too."""

import os
import sys


def main() -> None:
    # numpy's threads spin for a tenth of a second after its import, and nothing here is large enough for them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from nsnet_cli.cli.app import leave, run
    except KeyboardInterrupt:
        sys.exit(130)
    leave(run())


if __name__ == "__main__":
    main()
