"""What a report of a large study costs: tables, HTML, size, memory.

    python benchmarks/report.py [--trials 10000] [--epochs 50]

Writes a study of that size (metrics, journal, scores of cases) into a temporary folder, then reads it in processes of
their own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TABLES = """
import json, resource, sys, time
from reports import StudyTables
started, cpu = time.perf_counter(), time.process_time()
study = StudyTables(sys.argv[1])
names = ("trials", "epochs", "terms", "checkpoints", "failures", "cases", "saves")
rows = {name: len(getattr(study, name)) for name in names}
"""
_HTML = """
import json, resource, sys, time
started, cpu = time.perf_counter(), time.process_time()
from reports import write_report
rows = {"mb": write_report(sys.argv[1], sys.argv[1] + ".html").stat().st_size / 1e6}
"""
_END = """
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"s": time.perf_counter() - started, "cpu": time.process_time() - cpu, "mib": memory, **rows}))
"""


def measured(script: str, study: Path) -> dict[str, float]:
    """What a script prints, run in a process of its own."""
    command = [sys.executable, "-c", script + _END, str(study)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    from tests.report_studies import write_large_study

    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = write_large_study(Path(folder) / "large", trials=given.trials, epochs=given.epochs)
        tables, html = measured(_TABLES, study), measured(_HTML, study)
    print(f"| {given.trials} trials of {given.epochs} epochs | s | of that CPU | peak MiB | MB |")
    print("|---|---|---|---|---|")
    print(f"| all tables | {tables['s']:.1f} | {tables['cpu']:.1f} | {tables['mib']:.0f} | |")
    print(f"| HTML, tables included | {html['s']:.1f} | {html['cpu']:.1f} | {html['mib']:.0f} | {html['mb']:.1f} |")
    print(f"rows: { ({name: value for name, value in tables.items() if name not in ('s', 'cpu', 'mib')}) }")


if __name__ == "__main__":
    main()
