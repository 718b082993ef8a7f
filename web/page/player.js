'use strict';

// Plays blocks of samples as they are decoded: each is scheduled at its place, to the sample. Where decoding falls
// behind, the clock stops until the next block is there.

class Player {
  constructor(rate, channels, length, changed) {
    [this.rate, this.count, this.length, this.changed] = [rate, channels, length, changed];
    this.blocks = []; // { first, frames, channels }
    this.decoded = 0;
    this.playing = false;
    this.place = 0; // sample at which playing began or will begin
    this.sources = [];
  }

  add(block) {
    this.blocks.push(block);
    this.decoded = block.first + block.frames;
    if (this.playing) {
      this.schedule(block);
      this.context.resume();
    }
  }

  // The sample that is heard.
  get position() {
    if (!this.playing) return this.place;
    const passed = (this.context.currentTime - this.began) * this.rate;
    return Math.max(this.place, Math.min(this.place + passed, this.length));
  }

  play() {
    if (this.playing) return;
    // With the rate of the file nothing is resampled between blocks.
    this.context ??= new AudioContext({ sampleRate: this.rate });
    this.context.resume();
    if (this.place >= this.length) this.place = 0;
    this.playing = true;
    this.began = this.context.currentTime + 0.05;
    this.blocks.forEach((block) => this.schedule(block));
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.place = Math.round(this.position);
    this.playing = false;
    this.sources.forEach((source) => source.stop());
    this.sources = [];
    this.changed();
  }

  seek(sample) {
    const playing = this.playing;
    this.pause();
    this.place = Math.round(Math.max(0, Math.min(sample, this.length)));
    if (playing) this.play();
    this.changed();
  }

  schedule({ first, frames, channels }) {
    if (first + frames <= this.place) return;
    const buffer = this.context.createBuffer(this.count, frames, this.rate);
    channels.forEach((samples, channel) => buffer.copyToChannel(samples, channel));
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    const skipped = Math.max(0, this.place - first);
    source.start(this.began + (first + skipped - this.place) / this.rate, skipped / this.rate);
    source.onended = () => (this.sources = this.sources.filter((other) => other !== source));
    this.sources.push(source);
  }

  // To be called for every picture: stops the clock, or at the end.
  watch() {
    if (!this.playing) return;
    if (this.position >= this.length) this.pause();
    else if (this.decoded < this.length && this.decoded - this.position < 0.15 * this.rate) this.context.suspend();
  }

  close() {
    this.pause();
    this.context?.close();
  }

  // All samples as a WAV file of 16 bits.
  wav() {
    const frames = this.decoded;
    const view = new DataView(new ArrayBuffer(44 + 2 * frames * this.count));
    const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
    text(0, 'RIFF');
    view.setUint32(4, view.byteLength - 8, true);
    text(8, 'WAVEfmt ');
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, this.count, true);
    view.setUint32(24, this.rate, true);
    view.setUint32(28, 2 * this.count * this.rate, true);
    view.setUint16(32, 2 * this.count, true);
    view.setUint16(34, 16, true);
    text(36, 'data');
    view.setUint32(40, view.byteLength - 44, true);
    for (const block of this.blocks) {
      block.channels.forEach((samples, channel) =>
        samples.forEach((x, n) => {
          const value = Math.max(-32768, Math.min(32767, Math.round(x * 32768)));
          view.setInt16(44 + 2 * ((block.first + n) * this.count + channel), value, true);
        }),
      );
    }
    return new Blob([view], { type: 'audio/wav' });
  }
}
