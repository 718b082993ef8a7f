'use strict';

// Spectra of the decoded sound, one for each frame of events, as levels of rows on a logarithmic axis and of piano
// keys. Used by worker.js; views.js takes the axis from here.

const FRAMES_PER_SECOND = 62.5;
const ROWS = 160;
const [LOWEST, HIGHEST] = [40, 12000];
const KEYS = 88;
// Levels are stored in a byte, from this many decibels under full scale up.
const FLOOR = 100;

const rowFrequency = (row) => LOWEST * (HIGHEST / LOWEST) ** (row / (ROWS - 1));
const keyFrequency = (key) => 440 * 2 ** ((key - 48) / 12);
const keyName = (key) =>
  ['A', 'A♯', 'B', 'C', 'C♯', 'D', 'D♯', 'E', 'F', 'F♯', 'G', 'G♯'][key % 12] + Math.floor((key + 9) / 12);

class Spectra {
  constructor(rate) {
    this.rate = rate;
    this.size = 2 ** Math.round(Math.log2(rate * 0.085));
    this.hann = Float64Array.from({ length: this.size }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / this.size));
    this.cosine = Float64Array.from({ length: this.size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / this.size));
    this.sine = Float64Array.from({ length: this.size / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / this.size));
    this.rows = Array.from({ length: ROWS }, (_, row) => this.bins(rowFrequency(row - 0.5), rowFrequency(row + 0.5)));
    this.keys = Array.from({ length: KEYS }, (_, key) => this.bins(keyFrequency(key - 0.5), keyFrequency(key + 0.5)));
    this.next = 0; // frame
    this.first = -this.size / 2; // sample that `held` begins with
    this.held = new Float32Array(this.size / 2);
  }

  // The bins between two frequencies; at least the nearest one.
  bins(low, high) {
    const last = this.size / 2 - 1;
    const bin = (frequency) => (frequency * this.size) / this.rate;
    const from = Math.min(last, Math.ceil(bin(low)));
    const to = Math.min(last, Math.floor(bin(high)));
    const middle = Math.min(last, Math.round(bin(Math.sqrt(low * high))));
    return from > to ? [middle, middle] : [from, to];
  }

  // Takes mono samples and gives the levels of the frames that are complete.
  push(samples) {
    const held = new Float32Array(this.held.length + samples.length);
    held.set(this.held);
    held.set(samples, this.held.length);
    const centre = (frame) => Math.round((frame / FRAMES_PER_SECOND) * this.rate);
    const from = this.next;
    while (centre(this.next) + this.size / 2 <= this.first + held.length) this.next++;
    const count = this.next - from;
    const levels = { first: from, count, rows: new Uint8Array(count * ROWS), keys: new Uint8Array(count * KEYS) };
    for (let i = 0; i < count; i++) {
      const start = centre(from + i) - this.size / 2 - this.first;
      const powers = this.powers(held.subarray(start, start + this.size));
      this.rows.forEach((bins, row) => (levels.rows[i * ROWS + row] = this.level(powers, bins)));
      this.keys.forEach((bins, key) => (levels.keys[i * KEYS + key] = this.level(powers, bins)));
    }
    const keep = Math.max(0, centre(this.next) - this.size / 2 - this.first);
    this.held = held.slice(keep);
    this.first += keep;
    return levels;
  }

  // The frames at the end of the sound.
  finish() {
    return this.push(new Float32Array(this.size / 2));
  }

  level(powers, [from, to]) {
    let most = 0;
    for (let bin = from; bin <= to; bin++) most = Math.max(most, powers[bin]);
    const decibels = 10 * Math.log10(most / (this.size / 4) ** 2 + 1e-12);
    return Math.max(0, Math.min(255, ((decibels + FLOOR) / FLOOR) * 255));
  }

  // Power spectrum by a radix-2 Fourier transform (Cooley & Tukey 1965).
  powers(samples) {
    const n = this.size;
    const real = Float64Array.from(samples, (x, i) => x * this.hann[i]);
    const imaginary = new Float64Array(n);
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) [real[i], real[j]] = [real[j], real[i]];
    }
    for (let size = 2; size <= n; size *= 2) {
      const half = size / 2;
      const step = n / size;
      for (let at = 0; at < n; at += size) {
        for (let k = 0; k < half; k++) {
          const [c, s] = [this.cosine[k * step], this.sine[k * step]];
          const [one, other] = [at + k, at + k + half];
          const re = real[other] * c - imaginary[other] * s;
          const im = real[other] * s + imaginary[other] * c;
          real[other] = real[one] - re;
          imaginary[other] = imaginary[one] - im;
          real[one] += re;
          imaginary[one] += im;
        }
      }
    }
    return real.subarray(0, n / 2).map((re, k) => re * re + imaginary[k] ** 2);
  }
}
