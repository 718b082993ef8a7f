#!/usr/bin/env python3
"""Make the small audio files of every input format, sound and broken ones, that the tests decode.

usage: make.py            (writes into its own folder; needs flac, lame, oggenc and ffmpeg)

All hold the same tone bursts, computed in integers at 24 bits so that the tests can compute them again exactly: see
`tone`. WAV files are written here byte by byte; the compressed ones by the usual encoders.
"""
import math
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TAGS = {'title': 'Tone burst', 'artist': 'Spiccato', 'album': 'Formats', 'date': '2026', 'genre': 'Test',
        'comment': 'Grüße, ♪'}


def tone(n, channel, rate, frames):
    """Sample n of a burst at 440 Hz + 220 Hz per channel: a parabolic sine under a trapezoid, 24 bits, peak one half."""
    phase = n * ((440 + 220 * channel) * 65536 // rate) % 65536 - 32768
    sine = phase * (32768 - abs(phase)) >> 13                       # -32768 … 32768
    ramp = frames // 8 + 1
    envelope = min(n * 256 // ramp, 256, (frames - 1 - n) * 256 // ramp)
    return sine * envelope >> 1


def signal(rate, channels, frames):
    return [tone(n, c, rate, frames) for n in range(frames) for c in range(channels)]


ENCODE = {                                                          # 24-bit integers to the bytes of a WAV file
    'u8': (1, 8, lambda x: struct.pack('<B', (x >> 16) + 128)),
    's16': (1, 16, lambda x: struct.pack('<h', x >> 8)),
    's24': (1, 24, lambda x: struct.pack('<i', x)[:3]),
    's32': (1, 32, lambda x: struct.pack('<i', x << 8)),
    'f32': (3, 32, lambda x: struct.pack('<f', x / 2 ** 23)),
    'f64': (3, 64, lambda x: struct.pack('<d', x / 2 ** 23)),
}


def chunk(name, body):
    return name + struct.pack('<I', len(body)) + body + b'\0' * (len(body) % 2)


def wav(kind, samples, rate, channels, info=None, claimed=None):
    """The bytes of a WAV file; `claimed` is a false number of frames for its header."""
    tag, bits, encode = ENCODE[kind]
    frame = channels * bits // 8
    head = b'WAVE' + chunk(b'fmt ', struct.pack('<HHIIHH', tag, channels, rate, rate * frame, frame, bits))
    if info:
        head += chunk(b'LIST', b'INFO' + b''.join(chunk(k, v.encode() + b'\0') for k, v in info.items()))
    data = b''.join(map(encode, samples))
    size = len(data) if claimed is None else claimed * frame
    return (b'RIFF' + struct.pack('<I', len(head) + 8 + size + size % 2) + head + b'data' + struct.pack('<I', size)
            + data + b'\0' * (len(data) % 2))


def run(*command):
    subprocess.run([str(word) for word in command], check=True, cwd=HERE,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    def write(name, data):
        (HERE / name).write_bytes(data)

    mono = signal(44100, 1, 2000)
    info = {b'INAM': TAGS['title'], b'IART': TAGS['artist'], b'ICRD': TAGS['date']}
    for kind in ENCODE:
        write(f'{kind}.wav', wav(kind, mono, 44100, 1, info if kind == 's16' else None))
    write('8khz.wav', wav('s16', signal(8000, 1, 2000), 8000, 1))
    write('192khz.wav', wav('s16', signal(192000, 1, 2000), 192000, 1))
    write('11025hz-stereo.wav', wav('s16', signal(11025, 2, 2000), 11025, 2))
    write('six-channels.wav', wav('s16', signal(44100, 6, 500), 44100, 6))
    write('one-sample.wav', wav('s16', [1 << 22], 44100, 1))
    write('silence.wav', wav('s16', [0] * 4410, 44100, 1))
    square = [8388607 if n // 50 % 2 == 0 else -8388608 for n in range(2000)]
    write('full-scale-square.wav', wav('s16', square, 44100, 1))

    # What compressed formats get: 0.4 s, mono and stereo.
    write('burst.tmp.wav', wav('s16', signal(44100, 2, 17640), 44100, 2))
    write('mono.tmp.wav', wav('s16', signal(44100, 1, 17640), 44100, 1))
    run('flac', '-f', '-s', '--no-seektable', '--no-padding', '--blocksize=2048',
        *(f'--tag={key.upper()}={value}' for key, value in TAGS.items()), '-o', 'stereo.flac', 'burst.tmp.wav')
    run('lame', '--quiet', '-b', '64', '--tt', TAGS['title'], '--ta', TAGS['artist'], '--tl', TAGS['album'],
        '--ty', TAGS['date'], '--tc', 'A comment longer than the thirty characters of ID3v1', '--add-id3v2',
        'mono.tmp.wav', 'mono.mp3')
    # Loud noise, then next to nothing: the first packets are much longer than the rest, and nothing says how many.
    noise = [n * 7919 % 8192 * 1024 - (1 << 22) if n < 4410 else 0 for n in range(44100)]
    write('noise.tmp.wav', wav('s16', noise, 44100, 1))
    run('lame', '--quiet', '-V', '4', '-t', 'noise.tmp.wav', 'no-length.mp3')
    run('oggenc', '-Q', '--serial', '1', '-q', '2', '-t', TAGS['title'], '-a', TAGS['artist'], '-l', TAGS['album'],
        '-d', TAGS['date'], '-c', f"comment={TAGS['comment']}", '-o', 'stereo.ogg', 'burst.tmp.wav')
    exact = ('-map_metadata', '-1', '-fflags', '+bitexact', '-flags:a', '+bitexact')
    for name, codec, source in [('mono-aac.m4a', ('aac', '-b:a', '64k'), 'mono.tmp.wav'),
                                ('stereo-alac.m4a', ('alac',), 'burst.tmp.wav'),
                                ('mono.aiff', ('pcm_s16be',), 's16.wav'),
                                ('mono.caf', ('pcm_s16be',), 's16.wav')]:
        tags = [word for key, value in TAGS.items() for word in ('-metadata', f'{key}={value}')]
        run('ffmpeg', '-y', '-i', source, *exact, *tags, '-c:a', *codec, name)
    for name in ('burst.tmp.wav', 'mono.tmp.wav', 'noise.tmp.wav'):
        (HERE / name).unlink()

    # Broken ones.
    write('empty.wav', b'')
    write('no-samples.wav', wav('s16', [], 44100, 1))
    write('text.wav', b'This is a note to self, not a recording: buy strings, tune the piano.\n' * 20)
    floats = [x / 2 ** 23 for x in mono[:600]]
    for name, value in (('nan', math.nan), ('infinite', math.inf)):
        floats[321] = value
        good = wav('f32', [0] * 600, 44100, 1)
        write(f'{name}.wav', good[:-2400] + struct.pack('<600f', *floats))
    write('five-hours.wav', wav('s16', signal(44100, 2, 100), 44100, 2, claimed=5 * 3600 * 44100))
    for name in ('s16.wav', 'stereo.flac', 'mono.mp3'):
        whole = (HERE / name).read_bytes()
        write(f"truncated.{name.split('.')[1]}", whole[:len(whole) * 6 // 10])


if __name__ == '__main__':
    main()
