# SPDX-License-Identifier: MIT
"""python -m spprof: the command spprof of this installation, wherever its scripts are."""
import os
import signal
import sys
from importlib import metadata


def main():
    try:
        files = metadata.files("spprof") or []
    except metadata.PackageNotFoundError:
        files = []
    places = [str(f.locate()) for f in files if f.name == "spprof" and f.parent.name == "bin"]
    places.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bin", "spprof"))  # pip install --target
    command = next((p for p in places if os.path.exists(p)), None)
    if not command:
        sys.exit("spprof: this installation is without the command; the library is " + library())
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, for itself
        signal.signal(ignored, signal.SIG_DFL)
    os.execv(command, ["spprof", *sys.argv[1:]])


def library():
    import spprof
    return spprof.library_path()


if __name__ == "__main__":
    main()
