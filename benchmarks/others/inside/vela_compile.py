"""Runs in Vela's environment: compiles a TOSA file, and answers with the summary that Vela writes.

question  {"tosa": a file, "accelerator": ..., "config": an .ini file, "system": ..., "memory": ...}
answer    {"version": ..., "seconds": CPU seconds without Python's imports, "summary": the CSV text}
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from ethosu.vela.vela import main as vela


def main(question_file, answer_file):
    question = json.loads(Path(question_file).read_text())
    flags = {
        "--accelerator-config": question["accelerator"],
        "--config": question["config"],
        "--system-config": question["system"],
        "--memory-mode": question["memory"],
        "--output-dir": "out",
    }
    start = time.process_time()
    vela([*(text for flag in flags.items() for text in flag), question["tosa"]])
    seconds = time.process_time() - start
    (summary,) = Path("out").glob("*_summary_*.csv")
    answer = {"version": version("ethos-u-vela"), "seconds": seconds, "summary": summary.read_text()}
    Path(answer_file).write_text(json.dumps(answer))


main(*sys.argv[1:])
