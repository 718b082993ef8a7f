'use strict';

// What the user does, and what the worker answers.

const at = (id) => document.getElementById(id);
const state = { name: '', original: 0, file: null, facts: null, player: null, views: null, done: null, errors: [] };
let asked = 0; // number of the last file: decoding recordings takes the browser time

const shownTime = (seconds) => {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, '0')}.${tenths % 10}`;
};
const shownSize = (bytes) =>
  bytes < 1e4 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

function say(text, wrong = false) {
  at('status').textContent = text;
  at('status').classList.toggle('error', wrong);
  if (wrong) state.errors.push(text);
}

let worker;
try {
  worker = new Worker('worker.js');
  worker.onmessage = ({ data }) => answers[data.type](data);
  worker.onerror = (event) =>
    say(`The decoder could not be started: ${event.message ?? 'worker.js was not found'}`, true);
} catch {
  const serve =
    'This browser loads no parts of pages that are opened as files. Serve the folder: python3 -m http.server';
  say(location.protocol === 'file:' ? serve : 'This browser can not start the decoder.', true);
}

const answers = {
  ready({ model }) {
    state.model = model;
    if (!state.facts) say('Ready.');
  },
  encoded({ bytes, seconds }) {
    state.file = bytes;
    state.encoding = seconds;
  },
  facts({ facts }) {
    state.facts = facts;
    state.player = new Player(facts.sample_rate, facts.channels, facts.samples, changed);
    state.views = new Views(facts);
    at('transport').hidden = at('views').hidden = at('facts').hidden = false;
    at('save-wav').disabled = true;
    at('waveform').setAttribute('aria-valuemax', facts.seconds.toFixed(1));
    showFacts(facts);
    say(facts.damage.length ? `Damaged: ${facts.damage.join('; ')}` : 'Decoding …', facts.damage.length > 0);
    changed();
  },
  events(message) {
    state.views.addEvents(message);
    refresh();
  },
  block(message) {
    state.player.add(message);
    state.views.addBlock(message);
    refresh();
  },
  levels(message) {
    state.views.addLevels(message);
    refresh();
  },
  done({ samples, seconds }) {
    state.done = { samples, seconds };
    at('save-wav').disabled = false;
    const encoded = state.encoding === null ? '' : `Compressed in ${state.encoding.toFixed(1)} s. `;
    const speed = (state.facts.seconds / seconds).toFixed(0);
    if (!state.facts.damage.length)
      say(`${encoded}Decoded in ${seconds.toFixed(1)} s, ${speed} times as fast as it plays.`);
    state.views.sort(at('sort').checked);
    refresh();
  },
  error({ text }) {
    say(text, true);
  },
};

function showFacts(facts) {
  const plain = facts.samples * facts.channels * 2;
  const from = state.original || plain;
  const size = `${shownSize(facts.bytes)}, 1/${Math.round(from / facts.bytes)} of ${state.original ? 'the original' : '16-bit samples'} (${shownSize(from)})`;
  const list = {
    file: state.name,
    size,
    bitrate: `${facts.kbps.toFixed(2)} kbit/s`,
    sound: `${shownTime(facts.seconds)}, ${facts.channels === 1 ? 'mono' : 'stereo'}, ${facts.sample_rate} Hz`,
    events:
      facts.events === null
        ? 'of another model'
        : `${facts.events} of ${facts.neurons} neurons, ${facts.events_per_second.toFixed(0)} a second`,
  };
  at('facts').replaceChildren(
    ...Object.entries(list).map(([key, value]) => {
      const [group, term, text] = ['div', 'dt', 'dd'].map((name) => document.createElement(name));
      [term.textContent, text.textContent] = [key, value];
      group.append(term, text);
      return group;
    }),
  );
  const first = [facts.tags.title, facts.tags.artist].flat().filter(Boolean).join(', ');
  document.title = `${first || state.name} – Spiccato player`;
  at('events-note').textContent = `${facts.neurons} neurons, one dot for each event`;
}

function begin(name, original) {
  asked++;
  state.player?.close();
  Object.assign(state, {
    name,
    original,
    file: null,
    facts: null,
    player: null,
    views: null,
    done: null,
    encoding: null,
  });
  at('transport').hidden = at('views').hidden = at('facts').hidden = true;
  return asked;
}

// Opens the content of a .spic file, or of a recording that the browser can decode.
async function open(bytes, name) {
  if (String.fromCharCode(...bytes.subarray(0, 4)) === 'SPIC') {
    begin(name, 0);
    say('Opening …');
    state.file = bytes;
    worker.postMessage({ type: 'open', bytes });
    return;
  }
  const mine = begin(name, bytes.length);
  say('Reading the recording …');
  try {
    // Decoded at its own rate where the header says it, or else at 48 kHz.
    const context = new OfflineAudioContext(2, 1, rateOf(bytes) ?? 48000);
    const sound = await context.decodeAudioData(bytes.slice().buffer);
    if (mine !== asked) return;
    const channels = Math.min(2, sound.numberOfChannels);
    const samples = new Float32Array(sound.length * channels);
    for (let channel = 0; channel < channels; channel++) {
      sound.getChannelData(channel).forEach((x, n) => (samples[n * channels + channel] = x));
    }
    say(`Compressing ${shownTime(sound.duration)} …`);
    worker.postMessage({ type: 'encode', samples, rate: sound.sampleRate, channels, kbps: Number(at('kbps').value) }, [
      samples.buffer,
    ]);
  } catch (error) {
    say(`${name} is no .spic file, and no recording that this browser can decode: ${error.message}`, true);
  }
}

// The sample rate in the header of a WAV or FLAC file.
function rateOf(bytes) {
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let rate;
  if (text(0, 4) === 'fLaC' && bytes.length > 22) rate = view.getUint32(18) >>> 12;
  if (text(0, 4) === 'RIFF' && text(12, 16) === 'fmt ') rate = view.getUint32(24, true);
  return rate >= 8000 && rate <= 192000 ? rate : undefined;
}

async function openFile(file) {
  if (file) await open(new Uint8Array(await file.arrayBuffer()), file.name);
}

function save(content, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- pictures ----

let waiting = false;

function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const { player, views } = state;
    if (!player) return;
    player.watch();
    const seconds = player.position / player.rate;
    views.draw(seconds, Number(at('span').value), player.decoded / player.rate);
    at('time').textContent = `${shownTime(seconds)} / ${shownTime(state.facts.seconds)}`;
    at('waveform').setAttribute('aria-valuenow', seconds.toFixed(1));
    if (player.playing) refresh();
  });
}

function changed() {
  at('play').textContent = state.player?.playing ? 'Pause' : 'Play';
  refresh();
}

function choose(neuron) {
  if (!state.views || state.views.chosen === neuron) return;
  state.views.chosen = neuron;
  at('neuron').textContent =
    neuron === null
      ? 'Point at an event, or choose a neuron with the arrow keys up and down.'
      : state.views.describe(neuron);
  refresh();
}

// ---- what the user does ----

const toggle = () => state.player && (state.player.playing ? state.player.pause() : state.player.play());
const move = (seconds) => state.player?.seek(state.player.position + seconds * state.player.rate);

at('file').onchange = (event) => openFile(event.target.files[0]);
at('example').onclick = async () => {
  const answer = await fetch('example.flac');
  if (answer.ok) open(new Uint8Array(await answer.arrayBuffer()), 'example.flac');
  else say(`example.flac: ${answer.status} ${answer.statusText}`, true);
};
at('play').onclick = toggle;
at('save-spic').onclick = () => save(state.file, `${state.name.replace(/\.[^.]*$/, '')}.spic`);
at('save-wav').onclick = () => save(state.player.wav(), `${state.name.replace(/\.[^.]*$/, '')}.wav`);
at('span').onchange = refresh;
at('sort').onchange = () => {
  state.views?.sort(at('sort').checked);
  refresh();
};
at('waveform').onpointerdown = (event) => {
  const drag = (moved) => state.player?.seek((moved.offsetX / at('waveform').clientWidth) * state.player.length);
  drag(event);
  at('waveform').setPointerCapture(event.pointerId);
  at('waveform').onpointermove = drag;
  at('waveform').onpointerup = () => (at('waveform').onpointermove = null);
};
at('raster').onpointermove = ({ offsetX, offsetY }) => {
  const { player, views } = state;
  if (views)
    choose(views.neuronAt(at('raster'), offsetX, offsetY, player.position / player.rate, Number(at('span').value)));
};
at('raster').onpointerleave = () => choose(null);

function zoom(step) {
  const select = at('span');
  select.selectedIndex = Math.max(0, Math.min(select.length - 1, select.selectedIndex + step));
  refresh();
}

function chooseRow(step) {
  const { views } = state;
  if (!views) return;
  const row = views.chosen === null ? (step > 0 ? -1 : views.neurons) : views.order[views.chosen];
  choose(views.order.indexOf(Math.max(0, Math.min(views.neurons - 1, row + step))));
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !state.player) return;
  const inControl = ['SELECT', 'BUTTON', 'INPUT'].includes(event.target.tagName);
  const inRaster = event.target === at('raster');
  const keys = {
    ArrowLeft: () => move(-5),
    ArrowRight: () => move(5),
    Home: () => state.player.seek(0),
    End: () => state.player.seek(state.player.length),
    '+': () => zoom(-1),
    '=': () => zoom(-1),
    '-': () => zoom(1),
    ...(inControl ? {} : { ' ': toggle }),
    ...(inRaster ? { ArrowUp: () => chooseRow(1), ArrowDown: () => chooseRow(-1), Escape: () => choose(null) } : {}),
  };
  if (event.target.tagName === 'SELECT' || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

document.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('over');
});
document.addEventListener('dragleave', () => document.body.classList.remove('over'));
document.addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('over');
  openFile(event.dataTransfer.files[0]);
});
addEventListener('resize', refresh);
dark.addEventListener('change', () => {
  state.views?.recolour();
  refresh();
});
