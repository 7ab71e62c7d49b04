#!/usr/bin/env python3
"""The one door: finds a Python that fits, makes .venv when it is missing, then Django's command line.

Standard library only, and readable by every Python since 2.7, so that an old one can still say what is needed.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)
NEWEST = (3, 13)
NAMES = ("python3.13", "python3.12", "python3.11")


def main():
    # type: () -> None
    """Run the command of the command line by a Python that this project supports."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        run_by_another_python()
    from config.bootstrap import run

    run(sys.argv)


def run_by_another_python():
    # type: () -> None
    """Replace this process by the same command under a Python that fits; ends with a sentence when there is none."""
    for name in NAMES:
        if is_usable(name):
            sys.stdout.flush()
            os.execvp(name, [name] + sys.argv)  # noqa: RUF005
    sys.exit(
        "This needs Python 3.11, 3.12 or 3.13; %s is Python %d.%d, and none of %s is on the PATH. "
        "Install one of them and start again."
        % (sys.executable, sys.version_info[0], sys.version_info[1], ", ".join(NAMES))
    )


def is_usable(name):
    # type: (str) -> bool
    """Whether the command `name` exists and really is what it is called: version managers leave empty shims."""
    question = "import sys; sys.exit(not %r <= sys.version_info[:2] <= %r)" % (OLDEST, NEWEST)
    with open(os.devnull, "w") as silence:
        try:
            return subprocess.call([name, "-c", question], stdout=silence, stderr=silence) == 0
        except OSError:
            return False


if __name__ == "__main__":
    main()
