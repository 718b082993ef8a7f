'use strict';

// Clips: players, spectrograms and the blind test. Everything is in the page: nothing is loaded.

const data = JSON.parse(document.getElementById('data').textContent);
const RATE = data.rate;

function samplesOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, n) => view.getInt16(2 * n, true) / 32768);
}

// RIFF WAVE, 16 bits, mono.
function wavOf(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, 'RIFF');
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, n) => view.setInt16(44 + 2 * n, Math.round(Math.max(-1, Math.min(1, x)) * 32767), true));
  return new Blob([view], { type: 'audio/wav' });
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const label = (clip) => (clip.codec === null ? 'original' : `${clip.codec}, ${clip.kbps.toFixed(2)} kbit/s`);

// ---- spectrograms ----

const WINDOW = 1024;

// Power spectrum by a radix-2 Fourier transform (Cooley & Tukey 1965).
function powers(real) {
  const n = real.length;
  const imaginary = new Float64Array(n);
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const [c, s] = [Math.cos((2 * Math.PI * k) / size), -Math.sin((2 * Math.PI * k) / size)];
      for (let at = k; at < n; at += size) {
        const other = at + half;
        const [re, im] = [real[other] * c - imaginary[other] * s, real[other] * s + imaginary[other] * c];
        real[other] = real[at] - re;
        imaginary[other] = imaginary[at] - im;
        real[at] += re;
        imaginary[at] += im;
      }
    }
  }
  return Float64Array.from({ length: n / 2 }, (_, k) => real[k] ** 2 + imaginary[k] ** 2);
}

// From black over purple and orange to pale yellow: brightness rises evenly.
const RAMP = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

function colour(share) {
  const at = Math.max(0, Math.min(0.9999, share)) * (RAMP.length - 1);
  const [low, high] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
  return low.map((value, n) => value + (high[n] - value) * (at % 1));
}

// Frequencies on the mel scale up to 12 kHz; `top` is the power of the brightest colour, 80 dB above the darkest.
function drawSpectrogram(canvas, samples, top) {
  const [width, height] = [(canvas.width = 320), (canvas.height = 160)];
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const mel = (hertz) => Math.log10(1 + hertz / 700);
  const hertz = (share) => 700 * (10 ** (share * mel(RATE / 2)) - 1);
  for (let x = 0; x < width; x++) {
    const spectrum = frame(samples, ((samples.length - WINDOW) * x) / (width - 1));
    for (let y = 0; y < height; y++) {
      const bin = (share) => (hertz(share) / RATE) * WINDOW;
      const from = Math.floor(bin(1 - (y + 1) / height));
      const to = Math.max(from + 1, Math.ceil(bin(1 - y / height)));
      let most = 0;
      for (let k = from; k < Math.min(to, spectrum.length); k++) most = Math.max(most, spectrum[k]);
      const decibels = 10 * Math.log10(most / top + 1e-12);
      image.data.set([...colour(1 + decibels / 80), 255], 4 * (y * width + x));
    }
  }
  context.putImageData(image, 0, 0);
  context.font = '10px sans-serif';
  for (const [frequency, text] of [[500, '500 Hz'], [2000, '2 kHz'], [8000, '8 kHz']]) {
    const y = Math.round(height * (1 - mel(frequency) / mel(RATE / 2)));
    context.fillStyle = '#ffffff50';
    context.fillRect(0, y, width, 1);
    context.fillStyle = '#000000b0';
    context.fillRect(0, y - 6, context.measureText(text).width + 6, 13);
    context.fillStyle = '#ffffff';
    context.fillText(text, 3, y + 4);
  }
}

function frame(samples, start) {
  const from = Math.max(0, Math.floor(start));
  const hann = (n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / WINDOW);
  return powers(Float64Array.from({ length: WINDOW }, (_, n) => hann(n) * (samples[from + n] || 0)));
}

function loudest(samples) {
  let most = 1e-9;
  for (let start = 0; start < samples.length; start += 4 * WINDOW) {
    most = frame(samples, start).reduce((a, b) => Math.max(a, b), most);
  }
  return most;
}

// One after the other, so that the page can be used meanwhile.
const drawings = [];

function drawNext() {
  const draw = drawings.shift();
  if (!draw) return;
  draw();
  setTimeout(drawNext);
}

for (const place of document.querySelectorAll('.clips')) {
  const file = data.files[Number(place.dataset.file)];
  let top = 0;
  for (const clip of file.clips) {
    const canvas = element('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `spectrogram, ${label(clip)}`);
    const player = element('audio', { controls: true, preload: 'none' });
    drawings.push(() => {
      const samples = samplesOf(clip.samples);
      top = top || loudest(samplesOf(file.clips[0].samples));
      drawSpectrogram(canvas, samples, top);
      player.src = URL.createObjectURL(wavOf(samples));
    });
    place.append(element('figure', {}, element('figcaption', { textContent: label(clip) }), canvas, player));
  }
}

setTimeout(drawNext);

// ---- blind test ----

// The original without anything above 3.5 kHz: the anchor of ITU-R BS.1534. A sinc of 255 taps under a Blackman window.
function anchorOf(samples) {
  const [half, cutoff] = [127, 3500 / RATE];
  const taps = Float64Array.from({ length: 2 * half + 1 }, (_, n) => {
    const sinc = n === half ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * (n - half)) / (Math.PI * (n - half));
    return sinc * (0.42 - 0.5 * Math.cos((Math.PI * n) / half) + 0.08 * Math.cos((2 * Math.PI * n) / half));
  });
  return samples.map((_, n) => {
    let sum = 0;
    for (let k = -half; k <= half; k++) sum += taps[k + half] * (samples[n - k] || 0);
    return sum;
  });
}

function shuffled(list) {
  const mixed = [...list];
  for (let n = mixed.length - 1; n > 0; n--) {
    const other = Math.floor(Math.random() * (n + 1));
    [mixed[n], mixed[other]] = [mixed[other], mixed[n]];
  }
  return mixed;
}

// Plays all clips of a trial together, in a loop, and lets one be heard.
class Player {
  constructor(clips) {
    this.context = new AudioContext();
    this.voices = clips.map((samples) => {
      const buffer = this.context.createBuffer(1, samples.length, RATE);
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
      const gain = new GainNode(this.context, { gain: 0 });
      source.connect(gain).connect(this.context.destination);
      return { source, gain };
    });
    const start = this.context.currentTime + 0.05;
    this.voices.forEach(({ source }) => source.start(start));
  }

  hear(chosen) {
    this.context.resume();
    this.voices.forEach(({ gain }, n) => gain.gain.setTargetAtTime(n === chosen ? 1 : 0, this.context.currentTime, 0.01));
  }

  close() {
    this.context.close();
  }
}

function csvOf(rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => row.map(cell).join(',') + '\n').join('');
}

function blindTest(place) {
  const scores = [['listener', 'trial', 'position', 'file', 'condition', 'kbps', 'score']];
  const trials = shuffled(data.files);
  const show = (...children) => place.replaceChildren(...children);
  const text = (textContent) => element('p', { textContent });

  function begin() {
    const name = element('input', { type: 'text', maxLength: 40, autocomplete: 'off' });
    name.setAttribute('aria-label', 'listener');
    const button = element('button', { textContent: 'Begin', className: 'main', id: 'begin' });
    button.onclick = () => trial(0, name.value.trim() || 'anonymous');
    show(element('p', {}, 'Listener: ', name), text(`${trials.length} trials. Clips play in a loop; switch as often as you like.`), button);
  }

  function trial(number, listener) {
    const file = trials[number];
    const [original, ...coded] = file.clips.map((clip) => ({ ...clip, samples: samplesOf(clip.samples) }));
    const conditions = shuffled([
      { name: 'hidden reference', kbps: '', samples: original.samples },
      { name: 'anchor 3.5 kHz', kbps: '', samples: anchorOf(original.samples) },
      ...coded.map((clip) => ({ name: clip.codec, kbps: clip.kbps.toFixed(3), samples: clip.samples })),
    ]);
    const player = new Player([original.samples, ...conditions.map((condition) => condition.samples)]);
    const buttons = [];
    const hear = (chosen) => {
      player.hear(chosen);
      buttons.forEach((button, n) => button.setAttribute('aria-pressed', String(n === chosen)));
    };
    const playButton = (textContent) => {
      const at = buttons.length;
      const button = element('button', { textContent });
      button.onclick = () => hear(at);
      buttons.push(button);
      return button;
    };
    const reference = playButton('Reference');
    const moved = new Set();
    const next = element('button', { textContent: 'Next', className: 'main', disabled: true });
    const judged = conditions.map((condition, n) => {
      const shown = element('output', { textContent: '–' });
      const slider = element('input', { type: 'range', min: 0, max: 100, value: 50 });
      slider.setAttribute('aria-label', `score of clip ${n + 1}`);
      slider.oninput = () => {
        condition.score = slider.value;
        shown.textContent = slider.value;
        next.disabled = moved.add(n).size < conditions.length;
      };
      return element('div', { className: 'judged' }, playButton(`Clip ${n + 1}`), slider, shown);
    });
    const words = ['bad', 'poor', 'fair', 'good', 'excellent'].map((textContent) => element('span', { textContent }));
    const silence = element('button', { textContent: 'Stop' });
    silence.onclick = () => hear(-1);
    next.onclick = () => {
      player.close();
      conditions.forEach((condition, n) =>
        scores.push([listener, number + 1, n + 1, file.name, condition.name, condition.kbps, condition.score]));
      if (number + 1 < trials.length) trial(number + 1, listener);
      else end(listener);
    };
    show(
      text(`Trial ${number + 1} of ${trials.length}`),
      element('div', { className: 'buttons' }, reference, silence),
      element('div', { className: 'words' }, ...words),
      ...judged,
      element('div', { className: 'buttons' }, next),
    );
  }

  function end(listener) {
    const means = new Map();
    for (const [, , , , name, , score] of scores.slice(1)) means.set(name, [...(means.get(name) || []), Number(score)]);
    const rows = [...means].map(([name, values]) => [name, values.reduce((a, b) => a + b) / values.length]);
    rows.sort((a, b) => b[1] - a[1]);
    const body = rows.map(([name, mean]) =>
      element('tr', {}, element('th', { textContent: name }), element('td', { textContent: mean.toFixed(1) })));
    const link = element('a', {
      textContent: 'Download the scores as CSV',
      download: `blind-test-${listener.replace(/[^\w-]/g, '_')}.csv`,
      href: URL.createObjectURL(new Blob([csvOf(scores)], { type: 'text/csv' })),
    });
    const again = element('button', { textContent: 'Once more' });
    again.onclick = () => blindTest(place);
    const hidden = scores.filter((row) => row[4] === 'hidden reference' && row[6] < 90).length;
    const doubt = hidden > 0.15 * trials.length
      ? [text('The hidden reference got less than 90 in more than 15 % of the trials: BS.1534 would leave this listener out.')]
      : [];
    show(text('Thank you. Mean scores:'), element('table', {}, element('tbody', {}, ...body)), ...doubt,
      element('p', {}, link), again);
  }

  begin();
}

const place = document.getElementById('test');
if (place) blindTest(place);
