#!/usr/bin/env python3
"""Runs exported ONNX graphs with onnxruntime and compares their values with the codec's own.

    cargo run --release -p spiccato-training --example onnx_reference models/default.safetensors target/onnx
    python3 -m venv target/onnx-venv && target/onnx-venv/bin/pip install numpy onnx onnxruntime
    target/onnx-venv/bin/python scripts/check_onnx.py target/onnx
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# Largest difference of single-precision results that are summed in another order.
TOLERANCE = 2e-3


def run(path, inputs):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(None, {name: inputs[name] for name in wanted})))


def main(folder):
    reference = np.load(folder / "reference.npz")
    wrong = []
    for name in ("model", "encoder", "decoder"):
        for output, value in run(folder / f"{name}.onnx", reference).items():
            expected = reference[output]
            if output == "events":
                # A potential within the tolerance of the threshold may fall on either side.
                clear = np.abs(reference["potential"]) > TOLERANCE
                difference = np.abs(value - expected)[clear].max()
            elif name == "model" and output == "rendered" and not np.array_equal(run_events, reference["events"]):
                continue  # of other events; the decoder by itself is compared below
            else:
                difference = np.abs(value - expected).max()
            if name == "model" and output == "events":
                run_events = value
            print(f"{name}: {output} {value.shape}: largest difference {difference:.2e}")
            if value.shape != expected.shape or not difference <= TOLERANCE:
                wrong.append(f"{name}: {output}")
    arrays = np.load(folder / "model.npz")
    print(f"model.npz: {len(arrays.files)} arrays, {sum(arrays[name].size for name in arrays.files)} numbers")
    if wrong:
        sys.exit("differs: " + ", ".join(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
