"""A dataset that stores a corpus as .spic files the first time, and loads events and audio from them ever after.

    python store_corpus.py FOLDER_OF_WAV OUT

torch and soundfile are needed; a DataLoader with several workers encodes on as many cores.
"""

import pathlib
import sys

import soundfile
import spiccato
import torch


class Stored(torch.utils.data.Dataset):
    def __init__(self, folder, out, bitrate=3.0, transform=lambda x: torch.from_numpy(x.dense()[:, 0])):
        self.wavs = sorted(pathlib.Path(folder).rglob("*.wav"))
        self.folder, self.out = pathlib.Path(folder), pathlib.Path(out)
        self.bitrate, self.transform = bitrate, transform

    def __len__(self):
        return len(self.wavs)

    def __getitem__(self, i):
        path = self.out / self.wavs[i].relative_to(self.folder).with_suffix(".spic")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            wav, sr = soundfile.read(self.wavs[i], dtype="float32")
            spiccato.load().encode(wav, sr, bitrate=self.bitrate, axis=0).save(path)
        return self.transform(spiccato.read(path)), str(path)


if __name__ == "__main__":
    for events, path in torch.utils.data.DataLoader(Stored(*sys.argv[1:3]), batch_size=None, num_workers=2):
        print(path, tuple(events.shape), int(events.sum()), "events")
