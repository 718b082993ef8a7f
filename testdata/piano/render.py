#!/usr/bin/env python3
"""Render prelude.csv with a folder of piano samples.

usage: render.py SAMPLES [OUT.flac]        SAMPLES holds zones.csv (one sample a row: file, keys, velocities) and the files

Needs: pip install numpy scipy soundfile soxr. Each note is its sample, resampled to the pitch, scaled by the square of
the velocity, and damped when the key is up and the pedal too. A synthetic room follows: noise with an exponential decay,
shorter at high frequencies, from a fixed seed, so the same samples give the same bytes.
"""
import csv
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, oaconvolve, sosfilt

RATE = 44100
PEAK = 10 ** (-3 / 20)
DAMPING = 0.22                  # seconds for 60 dB, once the damper touches the string
ROOM = 1.3                      # seconds for 60 dB, at middle frequencies
WET = 10 ** (-17 / 20)          # energy of the room against that of the direct sound
TAIL = 1.5                      # seconds after the last damper

NAMES = {'C': 0, 'D': 2, 'E': 4, 'F': 5, 'G': 7, 'A': 9, 'B': 11}


def midi_key(name):
    """C4 is 60."""
    return NAMES[name[0]] + name.count('#') - name.count('b') + 12 * (int(name[-1]) + 1)


def read_score(path):
    """Notes as (onset, release, key, velocity) and pedal as (time, down), in seconds."""
    rows = list(csv.DictReader(open(path, newline='')))
    tempi = [(float(r['beat']), float(r['value'])) for r in rows if r['event'] == 'tempo']

    def seconds(beat):
        time = 0.0
        for i, (start, tempo) in enumerate(tempi):
            end = tempi[i + 1][0] if i + 1 < len(tempi) else np.inf
            time += max(0.0, min(beat, end) - start) * 60 / tempo
        return time

    notes = [(seconds(float(r['beat'])), seconds(float(r['beat']) + float(r['length'])), midi_key(r['key']),
              int(r['value'])) for r in rows if r['event'] == 'note']
    pedal = [(seconds(float(r['beat'])), r['value'] == 'down') for r in rows if r['event'] == 'pedal']
    return notes, pedal


def damper_falls(release, pedal):
    """The first moment from `release` on at which the pedal is up."""
    down = False
    for time, goes_down in pedal:
        if time <= release:
            down = goes_down
        elif down and not goes_down:
            return time
    return release


class Piano:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.zones = list(csv.DictReader(open(self.folder / 'zones.csv', newline='')))
        self.tones = {}

    def zone(self, key, velocity):
        def distance(z):
            outside = lambda x, low, high: max(int(z[low]) - x, x - int(z[high]), 0)
            return outside(key, 'lokey', 'hikey'), outside(velocity, 'lovel', 'hivel')
        return min(range(len(self.zones)), key=lambda i: distance(self.zones[i]))

    def tone(self, key, velocity):
        index = self.zone(key, velocity)
        zone = self.zones[index]
        if (index, key) not in self.tones:
            sound, rate = soundfile.read(self.folder / zone['file'], dtype='float64', always_2d=True)
            sound = np.broadcast_to(sound, (len(sound), 2))
            pitched = soxr.resample(sound, rate * 2 ** ((key - int(zone['center'])) / 12), RATE, quality='VHQ')
            if float(zone['lowpass_hz']):
                cutoff = float(zone['lowpass_hz']) * 2 ** ((key - 60) / 24)
                pitched = sosfilt(butter(2, cutoff, fs=RATE, output='sos'), pitched, axis=0)
            self.tones[index, key] = pitched
        return self.tones[index, key] * (velocity / 127) ** 2 * 10 ** (float(zone['gain_db']) / 20)


def room(random):
    count = int(RATE * ROOM)
    time = np.arange(count)[:, None] / RATE
    response = np.zeros((count, 2))
    for low, high, share in ((40, 300, 1.1), (300, 2000, 1.0), (2000, 6000, 0.7), (6000, 16000, 0.4)):
        band = butter(2, (low, high), 'bandpass', fs=RATE, output='sos')
        noise = sosfilt(band, random.standard_normal((count, 2)), axis=0)
        response += share * noise * np.exp(-6.91 * time / (ROOM * share))
    response[:int(0.012 * RATE)] = 0                                # the first reflection takes 12 ms
    response *= WET / np.sqrt((response ** 2).sum(0))
    response[0] += 1
    return response


def main():
    here = Path(__file__).resolve().parent
    notes, pedal = read_score(here / 'prelude.csv')
    piano = Piano(sys.argv[1])
    last = max(damper_falls(release, pedal) for _, release, _, _ in notes)
    mix = np.zeros((int((last + TAIL) * RATE), 2))
    lead = int(0.15 * RATE)                                         # silence before the first note
    for onset, release, key, velocity in notes:
        sound = piano.tone(key, velocity)
        start = lead + int(onset * RATE)
        again = [o for o, _, k, _ in notes if k == key and o > onset]
        held = int((min([damper_falls(release, pedal)] + again) - onset) * RATE)
        fade = np.exp(-6.91 * np.arange(max(len(sound) - held, 0)) / (DAMPING * RATE))
        sound = np.vstack([sound[:held], sound[held:] * fade[:, None]])[:len(mix) - start]
        mix[start:start + len(sound)] += sound
    mix = oaconvolve(mix, room(np.random.default_rng(846)), axes=0)[:len(mix)]
    fall = int(0.5 * RATE)
    mix[-fall:] *= np.linspace(1, 0, fall)[:, None] ** 2
    mix *= PEAK / np.abs(mix).max()
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else here / 'prelude.flac'
    soundfile.write(out, mix, RATE, subtype='PCM_16', compression_level=1.0)
    print(f'{out}: {len(mix) / RATE:.1f} s, {out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
