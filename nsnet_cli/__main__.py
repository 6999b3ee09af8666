"""`python -m nsnet_cli` and the `nsnet` script. Imports nothing heavy: worker processes import this module too."""

import gc
import os
import sys


def main() -> None:
    if sys.platform == "win32":
        sys.exit("nsnet: Windows is not supported: it decodes with what only Linux and macOS have\n  use WSL there")
    # numpy's threads spin for a tenth of a second after its import, and nothing here is large enough for them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        # A decoder comes up in the time that reading the command line takes. (Not where a stream is closed: the
        # worker's socket would get its number.)
        if sys.argv[1:2] == ["tag"] and None not in (sys.stdin, sys.stdout, sys.stderr):
            from nsnet_cli.video.process import start_spare

            start_spare()
            gc.disable()  # while so much is imported; TagRun enables it
            sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]  # its converter: only exports need it
        from nsnet_cli.cli.app import leave, run
    except KeyboardInterrupt:
        sys.exit(130)
    leave(run())


if __name__ == "__main__":
    main()
