#!/usr/bin/env python3
"""Second decoder of .spic files, from bytes to events, written from format-spec.md.

usage: decode.py [--model MODEL] FILE...

Prints the content of each file as text after a line "=== NAME". A file that can't be decoded gives "error: …"; one that
needs Zstandard gives "skipped: …" where Python has neither compression.zstd (3.14) nor the module zstandard. Range-coded
events need the model; that it is the right one is not checked, since Python has no BLAKE3. The script is written to be compared with the specification, not to be fast. Numbers in brackets are the specification's sections.
"""

import json
import os
import sys
import zlib

try:
    from compression.zstd import ZstdDecompressor
except ImportError:
    try:
        from zstandard import ZstdDecompressor
    except ImportError:
        ZstdDecompressor = None


class Refused(Exception):
    """The file is damaged, or not of this format."""


class NoZstandard(Exception):
    """The file needs a module that is not there."""


def require(condition, reason):
    if not condition:
        raise Refused(reason)


class Bytes:
    """Takes fields off the front of some bytes [2]."""

    def __init__(self, data, position=0):
        self.data, self.position = data, position

    def left(self):
        return len(self.data) - self.position

    def take(self, count):
        require(count <= self.left(), "bytes end early")
        self.position += count
        return self.data[self.position - count : self.position]

    def unsigned(self, width):
        return int.from_bytes(self.take(width), "little")

    def signed(self, width):
        return int.from_bytes(self.take(width), "little", signed=True)

    def varint(self):
        value = 0
        for place in range(5):
            byte = self.unsigned(1)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                require(place == 0 or byte != 0, "varint is longer than needed")
                require(value < 2**32, "varint is too large")
                return value
        raise Refused("varint has more than 5 bytes")


class Bits:
    """Takes numbers off a bit string [2]."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def bit(self):
        require(self.position < 8 * len(self.data), "bits end early")
        bit = self.data[self.position // 8] >> self.position % 8 & 1
        self.position += 1
        return bit

    def number(self, width):
        return sum(self.bit() << place for place in range(width))

    def zeros(self):
        count = 0
        while self.bit() == 0:
            count += 1
        return count

    def rice(self, parameter):
        high = self.zeros()
        return (high << parameter) + self.number(parameter)

    def finish(self):
        require((self.position + 7) // 8 == len(self.data), "bytes left over after a bit string")
        while self.position % 8:
            require(self.bit() == 0, "bits left over after a bit string")


def zstandard(data, limit):
    """Content of a Zstandard frame without magic number [7.8]."""
    if ZstdDecompressor is None:
        raise NoZstandard()
    descriptor = data[0] if data else 0
    # RFC 8878, 3.1.1.1: content size flag, single segment flag, and what lies between them and the content size
    size_bytes = [1 if descriptor & 0x20 else 0, 2, 4, 8][descriptor >> 6]
    require(size_bytes > 0, "zstandard: no content size")
    require(descriptor & 3 == 0, "zstandard: dictionary")
    size_at = 1 if descriptor & 0x20 else 2
    size = int.from_bytes(data[size_at : size_at + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    require(size <= limit, "zstandard: content is too large")
    decompressor = ZstdDecompressor()
    if hasattr(decompressor, "decompressobj"):
        decompressor = decompressor.decompressobj()
    try:
        content = decompressor.decompress(b"\x28\xb5\x2f\xfd" + data)
    except Exception as error:
        raise Refused(f"zstandard: {error}")
    require(decompressor.eof and not decompressor.unused_data, "zstandard: not exactly one frame")
    require(len(content) == size, "zstandard: content size is wrong")
    return content


def floor_log2(number):
    return max(1, number).bit_length() - 1


# --- event methods [7]: each gives the (frame, neuron) pairs in its own order ---


def dense(data, frames, neurons):
    bits = Bits(data)
    events = [(frame, neuron) for frame in range(frames) for neuron in range(neurons) if bits.bit()]
    bits.finish()
    return events


def coo(data, frames, neurons):
    data = Bytes(data)
    events = []
    while data.left():
        events.append((data.unsigned(2), data.unsigned(2)))
    return events


def csr(data, frames, neurons):
    data = Bytes(data)
    counts = [data.varint() for _ in range(frames)]
    require(all(count <= neurons for count in counts), "csr: more events than neurons")
    width = 1 if neurons <= 256 else 2
    events = [(frame, data.unsigned(width)) for frame, count in enumerate(counts) for _ in range(count)]
    require(data.left() == 0, "csr: bytes left over")
    return events


def run_positions(data):
    require(data[-1:] != b"\xff", "runs: no event ends the last run")
    position = 0
    for byte in data:
        position += byte
        if byte < 255:
            yield position
            position += 1


def neuron_runs(data, frames, neurons):
    return [(position % frames, position // frames) for position in run_positions(data)]


def frame_runs(data, frames, neurons):
    return [(position // neurons, position % neurons) for position in run_positions(data)]


def rice(data, frames, neurons):
    data = Bytes(data)
    mode = data.unsigned(1)
    require(mode < 48, "rice: reserved mode")
    events = []
    if mode < 32:
        count = data.varint()
        bits = Bits(data.take(data.left()))
        position = 0
        for _ in range(count):
            position += bits.rice(mode)
            events.append((position % frames, position // frames))
            position += 1
    else:
        bits = Bits(data.take(data.left()))
        for neuron in range(neurons):
            count = bits.rice(mode - 32)
            require(count <= frames, "rice: more events than frames")
            parameter = floor_log2(frames * 177 // (256 * max(1, count)))
            frame = 0
            for _ in range(count):
                frame += bits.rice(parameter)
                require(frame < frames, "rice: frame out of range")
                events.append((frame, neuron))
                frame += 1
    bits.finish()
    return events


def elias_fano(data, frames, neurons):
    data = Bytes(data)
    count = data.varint()
    require(count <= frames * neurons, "elias-fano: more events than cells")
    bits = Bits(data.take(data.left()))
    width = floor_log2(frames * neurons // max(1, count))
    low = [bits.number(width) for _ in range(count)]
    high, events = 0, []
    for number in low:
        high += bits.zeros()
        position = (high << width) + number
        events.append((position % frames, position // frames))
    bits.finish()
    return events


class RangeDecoder:
    """Decisions with known probabilities [7.9.1]."""

    def __init__(self, data):
        self.data, self.taken = data, 0
        self.range, self.code = 2**32 - 1, 0
        for _ in range(4):
            self.code = self.code * 256 + self.byte()
        require(self.code < self.range, "range coder: no code begins like this")

    def byte(self):
        self.taken += 1
        require(self.taken <= len(self.data) + 4, "range coder: bytes end early")
        return self.data[self.taken - 1] if self.taken <= len(self.data) else 0

    def decision(self, probability):
        border = self.range * probability >> 16
        event = self.code < border
        if event:
            self.range = border
        else:
            self.range -= border
            self.code -= border
        while self.range < 2**24:
            self.range *= 256
            self.code = self.code * 256 + self.byte()
        return event

    def finish(self):
        missing = self.taken - len(self.data)
        if missing != 4:
            require(missing == 3, "range coder: bytes left over")
            low = ((self.data[-1] << 24) - self.code) % 2**32
            require(0 < low and low + self.range <= 2**32 and self.code < 2**24, "range coder: last byte")


SIGMOID = [32768, 30723, 28693, 26695, 24743, 22849, 21025, 19282, 17625, 16062, 14595, 13226]
SIGMOID += [11955, 10782, 9702, 8714, 7812, 6992, 6249, 5577, 4971, 4427, 3938, 3500]
SIGMOID += [3108, 2758, 2446, 2168, 1921, 1701, 1506, 1333, 1179, 1042, 922, 815]
SIGMOID += [720, 636, 562, 497, 439, 387, 342, 302, 267, 236, 208, 184]
SIGMOID += [162, 143, 126, 111, 98, 87, 77, 68, 60, 53, 47, 41]
SIGMOID += [36, 32, 28, 25, 22, 19, 17, 15, 13, 12, 10, 9]
SIGMOID += [8, 7, 6, 6, 5, 4, 4, 3, 3, 3, 2, 2]
SIGMOID += [2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
SIGMOID += [1]


def sigmoid(logit):
    """Probability in units of 2^-16 [7.9.4]."""
    distance = min(abs(logit), 12287)
    step = distance >> 7
    tail = SIGMOID[step] - ((SIGMOID[step] - SIGMOID[step + 1]) * (distance - (step << 7)) + 64 >> 7)
    return tail if logit <= 0 else 65536 - tail


AGE_ENDS = [1, 2, 3, 4, 6, 8, 12, 20, 36, 80]


def clamp(value, least, most):
    return max(least, min(most, value))


class Prior:
    """The model's prediction of events [7.9.2, 7.9.3]."""

    WIDTHS = {"I8": 1, "U8": 1, "I16": 2, "I32": 4}

    def __init__(self, file):
        """Reads the content of a safetensors file: length of the JSON header, header, numbers."""
        start = 8 + int.from_bytes(file[:8], "little")
        for name, entry in json.loads(file[8:start]).items():
            if name.startswith("prior."):
                begin, end = (start + offset for offset in entry["data_offsets"])
                width, signed = self.WIDTHS[entry["dtype"]], entry["dtype"] != "U8"
                fields = (file[at : at + width] for at in range(begin, end, width))
                numbers = [int.from_bytes(field, "little", signed=signed) for field in fields]
                columns = entry["shape"][-1]
                rows = [numbers[at : at + columns] for at in range(0, len(numbers), columns)]
                setattr(self, name.removeprefix("prior."), rows if len(entry["shape"]) > 1 else numbers)
        self.output_shift, self.chord_shift, self.adapt_shift, _ = self.scalars

    def between_knots(self, rows, quality):
        position = quality * (len(rows) - 1)
        knot = min(position // 65535, len(rows) - 2)
        f = position - knot * 65535
        return [(a * (65535 - f) + b * f) // 65535 for a, b in zip(rows[knot], rows[knot + 1])]

    def events(self, decision, frames, quality):
        """The events of a chunk as (frame, neuron), given the function that decides at a probability."""
        channels, neurons = range(len(self.shift)), range(len(self.input))
        hidden_bias, base = self.between_knots(self.hidden, quality), self.between_knots(self.quality, quality)
        trace, bias, last = [0 for _ in channels], [0 for _ in neurons], [None for _ in neurons]
        events, before = [], []
        for frame in range(frames):
            x = []
            for c in channels:
                trace[c] -= trace[c] >> self.shift[c]
                trace[c] += sum(self.input[j][c] << 8 for j in before)
                trace[c] = clamp(trace[c], -(2**24), 2**24)
                x.append(clamp(trace[c] + hidden_bias[c] >> 4, 0, 32767))
            now = []
            for n in neurons:
                logit = sum(x[c] * self.output[c][n] for c in channels) >> self.output_shift
                if last[n] is None:
                    age_class = 11
                else:
                    age_class = sum(frame - last[n] > end for end in AGE_ENDS)
                logit += base[n] + self.age[age_class][n] + (bias[n] >> 6)
                logit += sum(self.chord[j][n] << self.chord_shift for j in now)
                probability = sigmoid(logit)
                event = decision(probability)
                if self.adapt_shift > 0:
                    step = 65536 * event - probability >> self.adapt_shift
                    bias[n] = clamp(bias[n] + step, -(2**20), 2**20)
                if event:
                    now.append(n)
            for n in now:
                last[n] = frame
            events += [(frame, n) for n in now]
            before = now
        return events


def range_coder(data, frames, neurons, quality, prior):
    require(prior is not None, "range coder: the model is not at hand")
    require(len(prior.input) == neurons, "range coder: the prior is for another number of neurons")
    decoder = RangeDecoder(data)
    events = prior.events(decoder.decision, frames, quality)
    decoder.finish()
    return events


TIME_MAJOR, NEURON_MAJOR = (lambda event: event), (lambda event: event[::-1])
METHODS = {
    0: (dense, TIME_MAJOR),
    2: (coo, TIME_MAJOR),
    4: (csr, TIME_MAJOR),
    6: (neuron_runs, NEURON_MAJOR),
    8: (frame_runs, TIME_MAJOR),
    10: (rice, NEURON_MAJOR),
    12: (elias_fano, NEURON_MAJOR),
}


def decode_events(method, data, frames, neurons, quality, prior):
    if method == 16:
        return range_coder(data, frames, neurons, quality, prior)
    require(method & ~1 in METHODS, f"event method {method} is unknown")
    decode, order = METHODS[method & ~1]
    if method & 1:
        data = zstandard(data, 4 * frames * neurons + 2 * frames + 16)
    events = decode(data, frames, neurons)
    require(all(frame < frames and neuron < neurons for frame, neuron in events), "event outside the matrix")
    keys = [order(event) for event in events]
    require(all(before < after for before, after in zip(keys, keys[1:])), "events out of order")
    return sorted(events)


# --- side parameters [8] ---

COLUMNS, LEVELS, SLOT_FRAMES = 20, 32, 32


def unfold(folded):
    require(folded < LEVELS, "side parameters: difference out of range")
    return (folded + 1) // 2 if folded % 2 else -(folded // 2) % LEVELS


def decode_side(coding, data, frames):
    slots = -(-frames // SLOT_FRAMES)
    if coding == 1:
        bits = Bits(data)
        differences = []
        for _ in range(COLUMNS):
            differences.append(bits.number(5))
            m = bits.number(2)
            differences += [unfold(bits.rice(m - 1)) if m else 0 for _ in range(slots - 1)]
        bits.finish()
    else:
        require(coding == 2, "side parameters: unknown coding")
        differences = zstandard(data, slots * COLUMNS)
        require(len(differences) == slots * COLUMNS, "side parameters: wrong number of values")
        require(all(difference < LEVELS for difference in differences), "side parameters: difference out of range")
    values = [[0] * COLUMNS for _ in range(slots)]
    for column in range(COLUMNS):
        value = 0
        for slot in range(slots):
            value = (value + differences[column * slots + slot]) % LEVELS
            values[slot][column] = value
    return values


# --- corrections [8.2] ---

TIMES, SHAPES, BLOCK_FRAMES = 32, 24, 64
PRESENT = [
    [50, 44, 50, 55, 55, 57],
    [21, 28, 30, 36, 41, 48],
    [11, 20, 27, 33, 37, 45],
    [8, 19, 22, 27, 33, 41],
    [4, 12, 14, 19, 27, 36],
    [2, 7, 11, 16, 24, 35],
    [2, 6, 9, 14, 21, 33],
    [1, 5, 8, 11, 19, 31],
    [1, 4, 5, 9, 16, 26],
    [1, 2, 4, 7, 12, 20],
]
ABOVE_ONE, ABOVE = [1, 2, 3, 5, 11, 25], [20, 26, 35]


class AdaptiveBit:
    """A decision whose probability follows how often it went either way."""

    def __init__(self, of_64):
        self.yes, self.no = of_64, 64 - of_64

    def decide(self, decoder):
        bit = decoder.decision((self.yes << 16) // (self.yes + self.no))
        if bit:
            self.yes += 4
        else:
            self.no += 4
        if self.yes + self.no > 1024:
            self.yes, self.no = (self.yes + 1) // 2, (self.no + 1) // 2
        return bit


def neighbour_class(neighbours):
    return sum(neighbours >= least for least in (1, 2, 3, 5, 9))


def decode_corrections(data, frames):
    """Step and blocks of coefficients, rows over the bands."""
    data = Bytes(data)
    step = data.unsigned(1)
    decoder = RangeDecoder(data.take(data.left()))
    present = [[AdaptiveBit(of_64) for of_64 in row] for row in PRESENT]
    above_one = [AdaptiveBit(of_64) for of_64 in ABOVE_ONE]
    above = [AdaptiveBit(of_64) for of_64 in ABOVE]
    before, blocks = {}, []
    for _ in range(-(-frames // BLOCK_FRAMES)):
        now = {}

        def size(block, time, shape):
            return abs(block.get((time, shape), 0))

        for t in range(TIMES):
            for s in range(SHAPES):
                near = size(now, t - 1, s) + size(now, t, s - 1) + size(before, t, s)
                far = size(now, t - 2, s) + size(now, t, s - 2) + size(now, t - 1, s - 1) + size(now, t - 1, s + 1)
                far += size(before, t, s - 1) + size(before, t, s + 1)
                kind = neighbour_class(2 * near + far)
                place = floor_log2(t + 1) + floor_log2(s + 1)
                if not present[place][kind].decide(decoder):
                    continue
                negative = decoder.decision(32768)
                value = 1
                while value < 16:
                    bit = above_one[kind] if value == 1 else above[min(value, 4) - 2]
                    if not bit.decide(decoder):
                        break
                    value += 1
                if value == 16:
                    for place in range(11, -1, -1):
                        value += decoder.decision(32768) << place
                now[t, s] = -value if negative else value
        blocks.append([[now.get((t, s), 0) for s in range(SHAPES)] for t in range(TIMES)])
        before = now
    decoder.finish()
    require(step > 0, "corrections: step")
    return step, blocks


# --- the file [4, 5, 6, 9] ---


def decode_tags(coding, data):
    require(coding in (0, 1), "unknown coding of tags")
    data = Bytes(zstandard(data, 65536) if coding else data)
    tags = []
    while data.left():
        try:
            key, value = (data.take(data.varint()).decode("utf-8") for _ in range(2))
        except UnicodeDecodeError:
            raise Refused("a tag is not UTF-8")
        require(key, "a tag has an empty key")
        tags.append((key, value))
    return tags


def decode_header(file):
    require(file.data[:4] == b"SPIC", "not a .spic file")
    file.take(4)
    major, _minor = file.unsigned(1), file.unsigned(1)
    require(major == 1, f"unknown version {major}")
    flags = file.unsigned(2)
    header = {"sample_rate": file.unsigned(4), "sample_count": file.unsigned(8), "internal_rate": file.unsigned(4)}
    header.update(hop=file.unsigned(2), neurons=file.unsigned(2), chunk_frames=file.unsigned(2))
    header.update(channels=file.unsigned(1), tag_coding=file.unsigned(1), gain=file.signed(2), quality=file.unsigned(2))
    header.update(model=file.take(8).hex(), right_inverted=flags & 1)
    tag_bytes = file.varint()
    require(tag_bytes <= 65536, "too many bytes of tags")
    tags = file.take(tag_bytes)
    covered = file.data[: file.position]
    require(zlib.crc32(covered) == file.unsigned(4), "checksum of the header")

    require(flags & ~1 == 0, "unknown flags")
    require(8000 <= header["sample_rate"] <= 192000, "sample rate")
    require(8000 <= header["internal_rate"] <= 192000, "internal rate")
    require(header["sample_count"] <= 2**36, "sample count")
    require(header["channels"] in (1, 2), "channels")
    require(not header["right_inverted"] or header["channels"] == 2, "no right channel to invert")
    require(header["hop"] >= 1, "hop")
    require(1 <= header["neurons"] <= 4096, "neurons")
    require(1 <= header["chunk_frames"] <= 4096, "frames of a chunk")
    require(header["chunk_frames"] * header["neurons"] <= 2**22, "cells of a chunk")
    header["tags"] = decode_tags(header["tag_coding"], tags)
    internal_samples = -(-header["sample_count"] * header["internal_rate"] // header["sample_rate"])
    header["frames"] = internal_samples // header["hop"] + 1
    require(header["frames"] < 2**32, "frames")
    return header


def decode_chunk(file, header, number, prior):
    start = file.position
    length = file.varint()
    require(1 <= length <= 2**20, "length of a chunk")
    body = Bytes(file.take(length))
    covered = number.to_bytes(4, "little") + file.data[start : file.position]
    require(zlib.crc32(covered) == file.unsigned(4), f"checksum of chunk {number}")
    coding = body.unsigned(1)
    frames = min(header["chunk_frames"], header["frames"] - number * header["chunk_frames"])
    side_coding, side = coding >> 5 & 3, []
    if side_coding:
        require(header["channels"] == 2, "side parameters of one channel")
        side = decode_side(side_coding, body.take(body.varint()), frames)
    corrections = decode_corrections(body.take(body.varint()), frames) if coding & 128 else None
    events = body.take(body.left())
    events = decode_events(coding & 31, events, frames, header["neurons"], header["quality"], prior)
    return frames, events, side, corrections, file.position - start


def decode_index(file, sizes):
    start = file.position
    for size in sizes:
        require(file.varint() == size, "index: size of a chunk")
    index_bytes = file.position - start
    require(file.unsigned(4) == index_bytes, "index: length")
    covered = file.data[start : file.position]
    require(zlib.crc32(covered) == file.unsigned(4), "checksum of the index")
    require(file.left() == 0, "bytes after the index")


FIELDS = "sample_rate sample_count channels right_inverted gain quality neurons internal_rate hop chunk_frames frames model"


def listing(values):
    return " ".join(str(value) for value in values)


def decode(data, prior):
    """The lines of text that describe a file."""
    file = Bytes(data)
    header = decode_header(file)
    lines = [f"{field} {header[field]}" for field in FIELDS.split()]
    lines += [f"tag {key}={value}" for key, value in header["tags"]]
    sizes = []
    for number in range(-(-header["frames"] // header["chunk_frames"])):
        frames, events, side, corrections, size = decode_chunk(file, header, number, prior)
        sizes.append(size)
        lines.append(f"chunk {number} of {frames} frames")
        rows = {}
        for frame, neuron in events:
            rows.setdefault(frame, []).append(neuron)
        lines += [f"frame {frame}: {listing(row)}" for frame, row in rows.items()]
        lines += [f"slot {slot}: {listing(values)}" for slot, values in enumerate(side)]
        if corrections:
            step, blocks = corrections
            lines.append(f"corrections in steps of {step}")
            for number_of_block, block in enumerate(blocks):
                for time, row in enumerate(block):
                    if any(row):
                        lines.append(f"block {number_of_block} time {time}: {listing(row)}")
    decode_index(file, sizes)
    return lines


def main(paths):
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    prior = None
    if paths[:1] == ["--model"]:
        with open(paths[1], "rb") as file:
            prior = Prior(file.read())
        paths = paths[2:]
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        try:
            lines = decode(data, prior)
        except Refused as refused:
            lines = [f"error: {refused}"]
        except NoZstandard:
            lines = ["skipped: needs Python 3.14 or the module zstandard"]
        print("=== " + os.path.basename(path), *lines, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
