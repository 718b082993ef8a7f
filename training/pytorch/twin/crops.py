"""Random crops of the corpus as features, changed at random: level, equaliser, noise, room, mixture."""

import math
from pathlib import Path

import numpy as np
import torch

from .features import BANDS, HOP, SAMPLE_RATE, TARGET_RMS, Analysis

# Frames at either end of an analysed piece that reach into the zeros around it.
MARGIN = 2
# Samples before a crop that a room's reverberation comes from.
BEFORE = int(0.8 * SAMPLE_RATE)


def amplitude(db):
    return 10 ** (db / 20)


class Corpus:
    """Shards in the memory of a device; `shares` are relative weights of the kinds in them."""

    def __init__(self, folder, shares: dict, device: str = "cpu", most_hours: float = 1e9):
        audio, self.clips, at = [], {}, 0
        for path in sorted(Path(folder).glob("*.npz")):
            if "validation" in path.name or at > most_hours * 3600 * SAMPLE_RATE:
                continue
            shard = np.load(path)
            audio.append(torch.from_numpy(shard["audio"]))
            starts = at + np.concatenate([[0], np.cumsum(shard["lengths"])[:-1]])
            rows = np.stack([starts, shard["lengths"], np.maximum(shard["rms"], 1e-5)], 1)
            self.clips.setdefault(str(shard["kind"]), []).append(rows)
            at += len(audio[-1])
        self.audio = torch.cat(audio).to(device)
        self.hours = at / SAMPLE_RATE / 3600
        self.clips = {k: torch.from_numpy(np.concatenate(v)).to(device) for k, v in self.clips.items()}
        self.kinds = [kind for kind in self.clips if shares.get(kind, 0) > 0]
        self.shares = torch.tensor([float(shares[kind]) for kind in self.kinds])
        if not self.kinds:
            raise SystemExit(f"{folder}: no shards of the kinds {sorted(shares)}")

    def draw(self, count: int, samples: int) -> torch.Tensor:
        """Pieces of clips at normal loudness, a clip in proportion to its length; zeros beyond its ends."""
        kinds = torch.multinomial(self.shares, count, replacement=True).bincount(minlength=len(self.kinds))
        rows = []
        for kind, number in zip(self.kinds, kinds.tolist()):
            clips = self.clips[kind]
            if number:
                rows.append(clips[torch.multinomial(clips[:, 1].float(), number, replacement=True)])
        start, length, level = torch.cat(rows)[torch.randperm(count)].unbind(1)
        free = (length - samples + BEFORE).clamp(min=1)
        offset = (torch.rand(count, device=start.device) * free).long() - BEFORE
        places = offset[:, None] + torch.arange(samples, device=start.device)
        inside = (places >= 0) & (places < length[:, None])
        at = (places.clamp(min=0) + start[:, None]).long().clamp(max=len(self.audio) - 1)
        return self.audio[at].float() * inside / 32768 * (TARGET_RMS / level[:, None]).float()


class Crops:
    """Draws batches of features."""

    def __init__(self, corpus: Corpus, scale, frames: int, device: str = "cpu"):
        self.corpus, self.scale, self.frames, self.device = corpus, scale, frames, device
        self.analysis = Analysis().to(device)
        self.samples = (frames + 2 * MARGIN - 1) * HOP

    @torch.no_grad()
    def batch(self, count: int) -> torch.Tensor:
        """(count, frames, BANDS)"""
        x = self.corpus.draw(count, BEFORE + self.samples)
        mixed, roomy, noisy = count // 8, count // 4, count // 3
        x[:mixed] += self.corpus.draw(mixed, BEFORE + self.samples) * amplitude(-15 * self.uniform(mixed))
        places = torch.randperm(count, device=self.device)[:roomy]
        x[places] = self.in_rooms(x[places])
        x = x[:, BEFORE:]
        places = torch.randperm(count, device=self.device)[:noisy]
        x[places] += self.coloured_noise(noisy)
        magnitudes = self.analysis(x)[:, MARGIN : MARGIN + self.frames]
        return self.scale.features(magnitudes * amplitude(self.equaliser(count))[:, None])

    def uniform(self, count: int) -> torch.Tensor:
        return torch.rand(count, 1, device=self.device)

    def in_rooms(self, x):
        """Convolved with decaying noise, dull to a degree, 4 to 20 dB under the direct sound."""
        count, t = len(x), torch.arange(BEFORE, device=self.device) / SAMPLE_RATE
        seconds = 0.2 + 0.6 * self.uniform(count)
        tail = torch.fft.rfft(torch.randn(count, BEFORE, device=self.device) * torch.exp(-6.91 * t / seconds))
        hertz = torch.linspace(0, SAMPLE_RATE / 2, tail.shape[1], device=self.device)
        tail = torch.fft.irfft(tail / (1 + (hertz / 2500) ** 2) ** (0.5 * self.uniform(count)), BEFORE)
        tail = tail / tail.norm(dim=1, keepdim=True) * amplitude(-20 + 16 * self.uniform(count))
        tail[:, 0] += 1
        length = 1 << (x.shape[1] + BEFORE - 1).bit_length()
        return torch.fft.irfft(torch.fft.rfft(x, length) * torch.fft.rfft(tail, length), length)[:, : x.shape[1]]

    def coloured_noise(self, count: int):
        """Between white and pink, -80 to -45 dB of full scale."""
        spectrum = torch.fft.rfft(torch.randn(count, self.samples, device=self.device))
        position = torch.arange(1, spectrum.shape[1] + 1, device=self.device) / spectrum.shape[1]
        noise = torch.fft.irfft(spectrum * position ** -self.uniform(count), self.samples)
        return noise / noise.std(1, keepdim=True) * amplitude(-80 + 35 * self.uniform(count))

    def equaliser(self, count: int):
        """Gain of each band in dB: a level within 5 dB, and three cosines over the bands."""
        x = torch.linspace(0, 1, BANDS, device=self.device)
        db = 10 * self.uniform(count) - 5
        for k in (1, 2, 3):
            strength = 2.5 * torch.randn(count, 1, device=self.device)
            db = db + strength * torch.cos(math.pi * k * x + 2 * math.pi * self.uniform(count))
        return db
