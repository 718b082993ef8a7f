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
TOLERANCE = 1e-4


def run(path, inputs):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(None, {name: inputs[name] for name in wanted})))


def difference(values, reference, output):
    value, expected = values[output], reference[output]
    assert value.shape == expected.shape, f"{output} has the shape {value.shape}, not {expected.shape}"
    if output == "events":
        # A potential within the tolerance of the threshold may fall on either side.
        return np.abs(value - expected)[np.abs(reference["potential"]) > TOLERANCE].max()
    return np.abs(value - expected).max()


def main(folder):
    reference = np.load(folder / "reference.npz")
    wrong = []
    for name in ("model", "encoder", "decoder"):
        values = run(folder / f"{name}.onnx", reference)
        outputs = list(values)
        if name == "model" and not np.array_equal(values["events"], reference["events"]):
            outputs.remove("rendered")  # from other events; the decoder by itself is compared below
        for output in outputs:
            largest = difference(values, reference, output)
            print(f"{name}: {output} {values[output].shape}: largest difference {largest:.2e}")
            if not largest <= TOLERANCE:
                wrong.append(f"{name}: {output}")
    arrays = np.load(folder / "model.npz")
    print(f"model.npz: {len(arrays.files)} arrays, {sum(arrays[name].size for name in arrays.files)} numbers")
    if wrong:
        sys.exit("differs: " + ", ".join(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
