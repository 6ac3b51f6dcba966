"""
Fuzz a target with atheris, or choose what is kept of what was found::

    python -m tests.fuzz request --seconds 300
    python -m tests.fuzz request --keep

What is tried is in C{build/fuzz/NAME}, and what fails in C{build/fuzz}.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path

#: Where inputs are found, before some are kept.
FOUND = Path("build") / "fuzz"

#: Octets of the largest input, unless somebody says otherwise.
MAX_LENGTH = 1024


def fuzz(name: str, seconds: int, longest: int) -> None:
    """
    Try inputs until something fails, or time is over.
    """
    import atheris

    # Whatever counts must be imported in here.
    with atheris.instrument_imports(include=["socks6"]):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import CORPUS, TARGETS

    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    for octets in seeds().get(name, []):
        (folder / sha256(octets).hexdigest()[:16]).write_bytes(octets)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        f"-artifact_prefix={FOUND}/{name}-",
        "-timeout=20",
        "-print_final_stats=1",
        str(folder),
        *(str(each) for each in [CORPUS / name] if each.is_dir()),
    ]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


def main() -> None:
    """
    Read the command line, and do it.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz a target.")
    parser.add_argument("name")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--max-length", type=int, default=MAX_LENGTH)
    parser.add_argument("--keep", action="store_true", help="choose what is kept, do not fuzz")
    arguments = parser.parse_args()
    if arguments.keep:
        from tests.fuzz.keeping import keep

        kept = keep(arguments.name, FOUND / arguments.name)
        sys.stdout.write(f"{arguments.name}: {kept} inputs are kept\n")
    else:
        fuzz(arguments.name, arguments.seconds, arguments.max_length)


if __name__ == "__main__":
    main()
