#!/usr/bin/env python3
"""Make one small file of every pair of container and codec that people have, readable here or not.

usage: make.py            (writes into its own folder; needs ffmpeg, flac, lame, opusenc, oggenc and sox)

All hold the tone burst of ../make.py: 2,000 samples at 44.1 kHz without loss, 17,640 with (19,200 at 48 kHz for Opus).
"""
import importlib.util
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location('formats', HERE.parent / 'make.py')
formats = importlib.util.module_from_spec(spec)
spec.loader.exec_module(formats)

EXACT = ('-map_metadata', '-1', '-fflags', '+bitexact', '-flags:a', '+bitexact')
LOSSLESS = {
    'alac.caf': 'alac', 's16le.caf': 'pcm_s16le', 's24le.caf': 'pcm_s24le', 's32be.caf': 'pcm_s32be',
    'f32le.caf': 'pcm_f32le',
    's8.aiff': 'pcm_s8', 's24.aiff': 'pcm_s24be', 's32.aiff': 'pcm_s32be', 'fl32.aiff': 'pcm_f32be',
    'fl64.aiff': 'pcm_f64be', 'sowt.aiff': 'pcm_s16le',
    's16le.mov': 'pcm_s16le', 's16be.mov': 'pcm_s16be', 's24le.mov': 'pcm_s24le', 's24be.mov': 'pcm_s24be',
    's32le.mov': 'pcm_s32le', 's32be.mov': 'pcm_s32be', 'f32le.mov': 'pcm_f32le', 'f32be.mov': 'pcm_f32be',
    'f64be.mov': 'pcm_f64be', 'alac.mov': 'alac',
    'flac.mka': 'flac', 's16.mka': 'pcm_s16le', 'alac.mka': 'alac',
    'flac.mp4': 'flac', 's16.w64': 'pcm_s16le',
    'flac.ogg': 'flac', 'wavpack.wv': 'wavpack', 'tta.tta': 'tta',
}
LOGARITHMIC = {
    'alaw.wav': 'pcm_alaw', 'mulaw.wav': 'pcm_mulaw', 'alaw.aiff': 'pcm_alaw', 'mulaw.aiff': 'pcm_mulaw',
    'alaw.caf': 'pcm_alaw', 'mulaw.caf': 'pcm_mulaw', 'alaw.mov': 'pcm_alaw', 'mulaw.mov': 'pcm_mulaw',
    'mulaw.au': 'pcm_mulaw',
}
LOSSY = {
    'ms-adpcm.wav': 'adpcm_ms', 'ima-adpcm.wav': 'adpcm_ima_wav', 'mp3.wav': 'libmp3lame', 'mp2.mp2': 'mp2',
    'ima4.caf': 'adpcm_ima_qt', 'ima4.aifc': 'adpcm_ima_qt',
    'aac.mp4': 'aac', 'mp3.mp4': 'libmp3lame', 'ac3.mp4': 'ac3', 'eac3.mp4': 'eac3', 'aac.mov': 'aac', 'aac.aac': 'aac',
    'aac.mka': 'aac', 'mp3.mka': 'libmp3lame', 'vorbis.webm': 'libvorbis', 'ac3.mka': 'ac3',
    'ac3.ac3': 'ac3', 'wma.wma': 'wmav2', 'latm.latm': 'aac', 'speex.spx': 'libspeex',
}
OPUS = ['opus.webm', 'opus.mka', 'opus.mp4', 'opus.ogg', 'opus.caf']


def run(*command):
    subprocess.run(command, check=True, cwd=HERE, stdout=subprocess.DEVNULL)


def ffmpeg(source, codec, name, *options):
    kind = ('-f', 'latm') if name.endswith('.latm') else ('-f', 'aiff') if name.endswith('.aifc') else ()
    run('ffmpeg', '-v', 'error', '-y', '-i', source, *EXACT, '-strict', '-2', '-c:a', codec, *options, *kind, name)


def main():
    sources = {'short.tmp.wav': ('s16', 44100, 1, 2000), 'long.tmp.wav': ('s16', 44100, 1, 17640),
               'opus.tmp.wav': ('s16', 48000, 1, 19200), 'six.tmp.wav': ('s16', 48000, 6, 19200),
               'half.tmp.wav': ('s16', 22050, 2, 8820), 'deep.tmp.wav': ('s32', 44100, 1, 2000)}
    for name, (kind, rate, channels, frames) in sources.items():
        (HERE / name).write_bytes(formats.wav(kind, formats.signal(rate, channels, frames), rate, channels))
    for name, codec in {**LOSSLESS, **LOGARITHMIC}.items():
        ffmpeg('short.tmp.wav', codec, name)
    for name, codec in LOSSY.items():
        ffmpeg('long.tmp.wav', codec, name, *(('-ar', '16000') if codec == 'libspeex' else ('-b:a', '64k')))
    for name in OPUS:
        ffmpeg('opus.tmp.wav', 'libopus', name, '-b:a', '48k')
    ffmpeg('short.tmp.wav', 'pcm_s16le', 'rf64.wav', '-rf64', 'always')
    ffmpeg('six.tmp.wav', 'libopus', 'six-channels.opus', '-b:a', '256k', '-mapping_family', '1')
    ffmpeg('six.tmp.wav', 'aac', 'six-channels-aac.mp4', '-b:a', '128k', '-t', '0.05')
    run('opusenc', '--quiet', '--serial', '1', '--bitrate', '48', 'opus.tmp.wav', 'opus.opus')
    for name, options in {'silk.opus': ('--speech', '--bitrate', '12', '--framesize', '60'),
                          'hybrid.opus': ('--speech', '--bitrate', '28')}.items():
        run('opusenc', '--quiet', '--serial', '1', *options, 'opus.tmp.wav', name)
    run('lame', '--quiet', '--freeformat', '-b', '160', 'long.tmp.wav', 'free-format.mp3')
    run('flac', '-s', '-f', '-o', '32-bit.flac', 'deep.tmp.wav')
    run('sox', 'long.tmp.wav', '-r', '8000', '-e', 'gsm-full-rate', 'gsm.wav')
    # HE-AAC by its settings: nothing here encodes it.
    ffmpeg('half.tmp.wav', 'aac', 'he-aac.mp4')
    plain = (HERE / 'he-aac.mp4').read_bytes()
    assert plain.count(b'\x13\x90\x56\xe5\x00') == 1
    (HERE / 'he-aac.mp4').write_bytes(plain.replace(b'\x13\x90\x56\xe5\x00', b'\x2b\x92\x08\x00\x00'))
    for name in sources:
        (HERE / name).unlink()


if __name__ == '__main__':
    main()
