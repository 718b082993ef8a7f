'use strict';

// Waveform, spectrogram and event raster. The two latter scroll together with the sound; what came in from the decoder
// is kept as pictures of some hundred frames each.

const COLUMNS = 512; // frames in a picture
const dark = matchMedia('(prefers-color-scheme: dark)');

// Black, violet, orange, pale yellow; on light paper the other way round, from white to dark violet.
function colourMap() {
  const stops = dark.matches
    ? [
        [16, 18, 24],
        [72, 24, 106],
        [190, 55, 80],
        [252, 150, 40],
        [252, 253, 191],
      ]
    : [
        [255, 255, 255],
        [205, 218, 235],
        [110, 150, 200],
        [50, 75, 150],
        [24, 12, 60],
      ];
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(place));
    return stops[below].map((from, i) => from + (place - below) * (stops[below + 1][i] - from));
  });
}

// A context for drawing in the canvas's own size on this screen.
function fitted(canvas) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

class Views {
  constructor(facts) {
    this.facts = facts;
    this.seconds = facts.seconds;
    this.frames = facts.frames;
    this.neurons = facts.neurons;
    this.rows = new Uint8Array(this.frames * ROWS);
    this.keys = new Uint8Array(this.frames * KEYS);
    this.levels = 0; // frames that have levels
    this.pictures = [];
    this.byFrame = Array.from({ length: this.frames }, () => []);
    this.byNeuron = Array.from({ length: this.neurons }, () => []);
    this.peaks = new Float32Array(2000); // of the waveform, over the whole file
    this.chosen = null;
    this.averages = new Map();
    this.order = Uint16Array.from({ length: this.neurons }, (_, neuron) => neuron); // row from below of each neuron
  }

  addEvents({ first, pairs }) {
    for (let i = 0; i < pairs.length; i += 2) {
      this.byFrame[first + pairs[i]].push(pairs[i + 1]);
      this.byNeuron[pairs[i + 1]].push(first + pairs[i]);
    }
  }

  addBlock({ first, frames, channels }) {
    const scale = this.peaks.length / this.facts.samples;
    for (const samples of channels) {
      for (let n = 0; n < frames; n++) {
        const at = Math.floor((first + n) * scale);
        this.peaks[at] = Math.max(this.peaks[at], Math.abs(samples[n]));
      }
    }
  }

  addLevels({ first, count, rows, keys }) {
    const fit = Math.max(0, Math.min(count, this.frames - first));
    this.rows.set(rows.subarray(0, fit * ROWS), first * ROWS);
    this.keys.set(keys.subarray(0, fit * KEYS), first * KEYS);
    this.levels = first + fit;
    for (let picture = Math.floor(first / COLUMNS); picture * COLUMNS < this.levels; picture++)
      this.pictures[picture] = null;
    this.averages.clear();
    this.mean = null;
  }

  recolour() {
    this.colours = null;
    this.pictures.fill(null);
  }

  picture(index) {
    if (this.pictures[index]) return this.pictures[index];
    this.colours ??= colourMap();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [COLUMNS, ROWS];
    const context = canvas.getContext('2d');
    const image = context.createImageData(COLUMNS, ROWS);
    const until = Math.min(COLUMNS, this.levels - index * COLUMNS);
    for (let column = 0; column < until; column++) {
      for (let row = 0; row < ROWS; row++) {
        const level = this.rows[(index * COLUMNS + column) * ROWS + row];
        // The upper 80 dB are shown.
        const [r, g, b] = this.colours[Math.max(0, Math.round((level - 51) * 1.25))];
        image.data.set([r, g, b, 255], ((ROWS - 1 - row) * COLUMNS + column) * 4);
      }
    }
    context.putImageData(image, 0, 0);
    return (this.pictures[index] = canvas);
  }

  // The part of the file that is shown: `span` seconds around the place that is heard.
  window(position, span) {
    const shown = Math.min(span, this.seconds);
    const from = Math.max(0, Math.min(position - shown / 2, this.seconds - shown));
    return [from, shown];
  }

  draw(position, span, decoded) {
    const window = this.window(position, span);
    this.drawWaveform(document.getElementById('waveform'), position, window, decoded);
    this.drawSpectrogram(document.getElementById('spectrogram'), position, window);
    this.drawRaster(document.getElementById('raster'), position, window);
  }

  drawWaveform(canvas, position, [from, shown], decoded) {
    const { context, width, height } = fitted(canvas);
    const most = Math.max(0.05, ...this.peaks);
    const x = (seconds) => (seconds / this.seconds) * width;
    context.fillStyle = style('--line');
    context.fillRect(x(from), 0, x(shown), height);
    context.fillStyle = style('--accent');
    const until = Math.min(width, x(decoded));
    for (let column = 0; column < until; column++) {
      const begin = Math.floor((column / width) * this.peaks.length);
      const end = Math.max(begin + 1, Math.floor(((column + 1) / width) * this.peaks.length));
      const half = (Math.max(...this.peaks.subarray(begin, end)) / most) * 0.48 * height;
      context.fillRect(column, height / 2 - half, 1, Math.max(1, 2 * half));
    }
    this.playhead(context, x(position), height);
  }

  playhead(context, x, height) {
    context.fillStyle = style('--chosen');
    context.fillRect(x - 0.75, 0, 1.5, height);
  }

  drawSpectrogram(canvas, position, [from, shown]) {
    const { context, width, height } = fitted(canvas);
    const frameWidth = width / (shown * FRAMES_PER_SECOND);
    const first = from * FRAMES_PER_SECOND;
    for (let index = Math.floor(first / COLUMNS); index * COLUMNS < first + width / frameWidth; index++) {
      if (index * COLUMNS >= this.levels) break;
      context.drawImage(
        this.picture(index),
        (index * COLUMNS - first - 0.5) * frameWidth,
        0,
        COLUMNS * frameWidth,
        height,
      );
    }
    context.font = '11px system-ui, sans-serif';
    for (const hertz of [100, 1000, 10000]) {
      const y = height * (1 - Math.log(hertz / LOWEST) / Math.log(HIGHEST / LOWEST));
      context.fillStyle = style('--faint');
      context.fillRect(0, y, 6, 1);
      context.fillText(hertz < 1000 ? `${hertz} Hz` : `${hertz / 1000} kHz`, 9, y + 4);
    }
    this.playhead(context, ((position - from) / shown) * width, height);
  }

  drawRaster(canvas, position, [from, shown]) {
    const { context, width, height } = fitted(canvas);
    const frameWidth = width / (shown * FRAMES_PER_SECOND);
    const size = [Math.max(1, frameWidth), Math.max(1.25, height / this.neurons)];
    const y = (neuron) => height * (1 - (this.order[neuron] + 1) / this.neurons);
    const first = Math.max(0, Math.floor(from * FRAMES_PER_SECOND));
    const last = Math.min(this.frames - 1, Math.ceil((from + shown) * FRAMES_PER_SECOND));
    const x = (frame) => (frame / FRAMES_PER_SECOND - from) * (width / shown);
    context.fillStyle = style('--ink');
    context.globalAlpha = this.chosen === null ? 0.8 : 0.45;
    for (let frame = first; frame <= last; frame++) {
      for (const neuron of this.byFrame[frame]) context.fillRect(x(frame), y(neuron), ...size);
    }
    context.globalAlpha = 1;
    if (this.chosen !== null) {
      context.fillStyle = style('--chosen');
      for (const frame of this.byNeuron[this.chosen]) {
        if (frame >= first && frame <= last)
          context.fillRect(x(frame) - 1, y(this.chosen) - 1.5, size[0] + 2, size[1] + 3);
      }
    }
    this.playhead(context, ((position - from) / shown) * width, height);
  }

  // The neuron of the event nearest to a place in the raster; of the row there, if none is near.
  neuronAt(canvas, x, y, position, span) {
    const [from, shown] = this.window(position, span);
    const frame = Math.round((from + (x / canvas.clientWidth) * shown) * FRAMES_PER_SECOND);
    const row = (1 - y / canvas.clientHeight) * this.neurons - 0.5;
    const reach = Math.max(2, (6 / canvas.clientWidth) * shown * FRAMES_PER_SECOND);
    let [best, least] = [null, 1];
    for (let near = Math.max(0, Math.floor(frame - reach)); near <= Math.min(this.frames - 1, frame + reach); near++) {
      for (const neuron of this.byFrame[near]) {
        const distance = ((near - frame) / reach) ** 2 + ((this.order[neuron] - row) / 8) ** 2;
        if (distance < least) [best, least] = [neuron, distance];
      }
    }
    return best;
  }

  // How much louder each key is, in decibels, in the four frames from an event of the neuron on than on average: its
  // event-triggered average.
  average(neuron) {
    if (!this.averages.has(neuron)) {
      this.mean ??= this.meanOf(
        Array.from({ length: this.levels }, (_, frame) => frame),
        1,
      );
      const around = this.meanOf(this.byNeuron[neuron], 4);
      this.averages.set(
        neuron,
        around.map((level, key) => ((level - this.mean[key]) * FLOOR) / 255),
      );
    }
    return this.averages.get(neuron);
  }

  meanOf(frames, length) {
    const sums = new Float64Array(KEYS);
    let count = 0;
    for (const begin of frames) {
      for (let frame = begin; frame < Math.min(begin + length, this.levels); frame++, count++) {
        for (let key = 0; key < KEYS; key++) sums[key] += this.keys[frame * KEYS + key];
      }
    }
    return sums.map((sum) => sum / Math.max(1, count));
  }

  // Keys that are louder than their neighbours with the neuron's events, the loudest first. Below F2 the spectra don't
  // tell keys apart.
  preferred(neuron) {
    const average = this.average(neuron);
    const peaks = [];
    for (let key = 20; key < KEYS; key++) {
      const neighbours = Math.max(average[key - 1], average[key + 1] ?? -Infinity);
      if (average[key] > 3 && average[key] >= neighbours) peaks.push(key);
    }
    return peaks
      .sort((a, b) => average[b] - average[a])
      .slice(0, 3)
      .map((key) => ({ key, decibels: average[key] }));
  }

  describe(neuron) {
    const count = this.byNeuron[neuron].length;
    const times = `${count} event${count === 1 ? '' : 's'}`;
    const keys =
      count < 3
        ? []
        : this.preferred(neuron).map(({ key, decibels }) => `${keyName(key)} (+${decibels.toFixed(0)} dB)`);
    const meaning = keys.length
      ? `louder with them than on average: ${keys.join(', ')}`
      : 'no key stands out with them';
    return `Neuron ${neuron}: ${times}, ${(count / this.seconds).toFixed(2)} a second; ${meaning}`;
  }

  // Rows by the key that stands out most, from low to high; neurons without one are at the bottom.
  sort(byPitch) {
    const neurons = Array.from({ length: this.neurons }, (_, neuron) => neuron);
    if (byPitch) {
      const pitch = neurons.map((neuron) =>
        this.byNeuron[neuron].length < 3 ? -1 : (this.preferred(neuron)[0]?.key ?? -1),
      );
      neurons.sort((a, b) => pitch[a] - pitch[b] || a - b);
    }
    neurons.forEach((neuron, row) => (this.order[neuron] = row));
  }
}
