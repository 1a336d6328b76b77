"""Measures speed and memory of the real server.

Every figure goes to bench-results.jsonl as well. docs/benchmarks.md says what each one means.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.report import Report
from tests.bench.scenarios import SCENARIOS, Bench

THOROUGH = ("native_floor", "otlp_floor")
"""Left out of a quick run: the floor as a whole is measured in any case."""


def main() -> int:
    """Runs the scenarios that the command line names, or all; returns 1 if one failed."""
    chosen = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-", dir=chosen.dir) as folder:
        bench = _bench(chosen, Path(folder))
        names = chosen.names or [n for n in SCENARIOS if not (chosen.quick and n in THOROUGH)]
        failed = [name for name in names if not _run(name, bench)]
    print(f"\n{bench.report.table()}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str, bench: Bench) -> bool:
    try:
        SCENARIOS[name](bench)
    except Exception as error:
        # The others are still worth their time.
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _bench(chosen: argparse.Namespace, folder: Path) -> Bench:
    quick = chosen.quick
    return Bench(
        Report(),
        folder,
        rounds=1 if quick else 3,
        seconds=2.0 if quick else 6.0,
        overload_s=600.0 if chosen.long else 8.0 if quick else 30.0,
        spans=50_000 if quick else 1_000_000,
    )


def _parser() -> argparse.ArgumentParser:
    about = "\n".join(f"  {name:<16} {one.__doc__}" for name, one in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=f"{__doc__}\nscenarios, all by default:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=[[], *SCENARIOS], metavar="SCENARIO")
    parser.add_argument("--quick", action="store_true", help="a short round, without the *_floor")
    parser.add_argument("--long", action="store_true", help="overload for ten minutes, not 30 s")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to be measured")
    return parser


if __name__ == "__main__":
    sys.exit(main())
