#!/usr/bin/env python3
"""Reads the event files of a run with TensorBoard's own reader and compares them with log.csv.

    cargo run -p spiccato-training --example train_ten_steps testdata/piano target/ten-steps
    python3 -m venv target/tensorboard-venv && target/tensorboard-venv/bin/pip install tensorboard
    target/tensorboard-venv/bin/python scripts/check_event_files.py target/ten-steps
"""

import csv
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Tags and the columns of log.csv that have the same figures, but rounded.
PAIRS = {
    "training/loss": ("loss", 1e-5),
    "training/distortion_db": ("distortion_db", 1e-4),
    "training/learning_rate": ("learning_rate", 1e-8),
    "validation_distortion_db/quality_0.5": ("validation_distortion_db", 1e-4),
}


def main(run):
    events = EventAccumulator(str(run))
    events.Reload()
    with open(run / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    steps = sorted({int(row["step"]) for row in rows})
    for tag, (column, tolerance) in PAIRS.items():
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == steps, f"{tag}: steps {[s.step for s in scalars]}, not {steps}"
        for scalar in scalars:
            logged = [float(row[column]) for row in rows if int(row["step"]) == scalar.step and row["quality"] in ("0.5", "")]
            assert abs(scalar.value - logged[0]) <= tolerance + 1e-6 * abs(logged[0]), (tag, scalar, logged)
    print(f"{len(events.Tags()['scalars'])} scalars at the steps {steps}: as in log.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
