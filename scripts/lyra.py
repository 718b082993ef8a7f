#!/usr/bin/env python3
"""Lyra v2 for `spiccato evaluate`: encodes a WAV file with Google's models, and decodes the result.

    lyra.py encode KBPS IN.wav OUT
    lyra.py decode KBPS IN OUT.wav

KBPS is 3.2, 6 or 9.2. Lyra's own program takes folders where we give file names, and is hard to build; its three models
run just as well through LiteRT. Needs ffmpeg and `pip install ai-edge-litert numpy`, and in the environment variable
LYRA_MODELS the folder of soundstream_encoder.tflite, quantizer.tflite and lyragan.tflite, from
https://github.com/google/lyra (folder lyra/model_coeffs, Apache-2.0). A line for `--codecs FILE`:

    lyra = { encode = "python3 scripts/lyra.py encode {kbps} {input} {output}", decode = "python3 scripts/lyra.py decode {kbps} {input} {output}", rates = [3.2, 6, 9.2] }

The coded file has the codes and nothing else, as Lyra's packets have: 4 bits for each stage and frame of 20 ms.
"""
import os
import subprocess
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

STAGES = {3.2: 16, 6.0: 30, 9.2: 46}
RATE = 16000
FRAME = 320


def model(name):
    return Interpreter(os.path.join(os.environ["LYRA_MODELS"], name + ".tflite"), num_threads=1)


def encode(stages, source, target):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", source, "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    samples = np.frombuffer(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, dtype="<f4")
    samples = np.pad(samples, (0, -len(samples) % FRAME))
    encoder = model("soundstream_encoder").get_signature_runner()
    quantizer = model("quantizer").get_signature_runner("encode")
    codes = []
    for start in range(0, len(samples), FRAME):
        features = encoder(input_audio=samples[None, start:start + FRAME])["output_0"].reshape(1, 1, 64)
        chosen = quantizer(input_frames=features, num_quantizers=np.array(stages, np.int32))["output_0"]
        codes.append(chosen.ravel()[:stages])
    codes = np.concatenate(codes).astype(np.uint8)
    (codes[0::2] << 4 | codes[1::2]).tofile(target)


def decode(stages, source, target):
    pairs = np.fromfile(source, np.uint8)
    frames = np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1, stages).astype(np.int32)
    quantizer = model("quantizer").get_signature_runner("decode")
    decoder = model("lyragan").get_signature_runner()
    out = []
    for frame in frames:
        codes = np.full((46, 1, 1), -1, np.int32)  # -1: a stage that is not used
        codes[:stages, 0, 0] = frame
        features = quantizer(encoding_indices=codes)["output_0"].reshape(1, 1, 64)
        out.append(decoder(input_audio=features)["output_0"].ravel())
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-", "-f", "wav", target]
    subprocess.run(command, check=True, input=np.concatenate(out).astype("<f4").tobytes())


if len(sys.argv) != 5 or sys.argv[1] not in ("encode", "decode") or float(sys.argv[2]) not in STAGES:
    sys.exit(__doc__)
{"encode": encode, "decode": decode}[sys.argv[1]](STAGES[float(sys.argv[2])], sys.argv[3], sys.argv[4])
