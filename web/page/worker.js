'use strict';

// The codec, away from the page's own thread. Takes { type: 'open', bytes } and { type: 'encode', samples, rate,
// channels, kbps }; gives messages of the types ready, facts, events, block, levels, done, encoded and error.

importScripts('spectrum.js');

let codec;
let task = 0;

async function load(url) {
  // Servers are asked whether it changed; where not, the browser's copy is used.
  const answer = await fetch(url, { cache: 'no-cache' });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

class Codec {
  static async load() {
    const [code, model] = await Promise.all([load('spiccato.wasm'), load('model.safetensors')]);
    const compiled = await WebAssembly.compile(code);
    // Dependencies can draw random numbers; nothing that is called here does.
    const imports = {};
    for (const { module, name } of WebAssembly.Module.imports(compiled)) {
      (imports[module] ??= {})[name] = () => {
        throw new Error(`${name} is not there`);
      };
    }
    const made = new Codec((await WebAssembly.instantiate(compiled, imports)).exports);
    made.give(new Uint8Array(model));
    made.call('open_model');
    made.id = made.text();
    return made;
  }

  constructor(exports) {
    this.exports = exports;
  }

  give(bytes) {
    const at = this.exports.input(bytes.length);
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  call(name, ...values) {
    const answer = this.exports[name](...values);
    if (answer < 0) throw new Error(this.text());
    return answer;
  }

  // A copy of what the last function gave.
  output() {
    const at = this.exports.output();
    return this.exports.memory.buffer.slice(at, at + this.exports.output_size());
  }

  text() {
    return new TextDecoder().decode(this.output());
  }
}

// As after the last part, where it fails: events can be shown without sound, and sound heard without events.
function attempt(name) {
  try {
    return codec.call(name);
  } catch (error) {
    failed(error);
    return 0;
  }
}

// Lets messages in.
const breathe = () => new Promise((done) => setTimeout(done));

async function open(bytes, mine) {
  codec.give(bytes);
  codec.call('info');
  const facts = JSON.parse(codec.text());
  postMessage({ type: 'facts', facts });
  codec.give(bytes);
  codec.call('open_file');
  const spectra = new Spectra(facts.sample_rate);
  let [decoding, moreEvents, moreSound, firstFrame, firstSample] = [0, true, true, 0, 0];
  while (moreEvents || moreSound) {
    if (moreEvents) {
      const frames = attempt('next_events');
      moreEvents = frames > 0;
      if (moreEvents)
        postMessage({ type: 'events', first: firstFrame, frames, pairs: new Uint16Array(codec.output()) });
      firstFrame += frames;
    }
    if (moreSound) {
      const begin = performance.now();
      const frames = attempt('next_block');
      moreSound = frames > 0;
      decoding += performance.now() - begin;
      const interleaved = new Float32Array(moreSound ? codec.output() : 0);
      const count = facts.channels;
      const channels = Array.from({ length: count }, (_, c) =>
        Float32Array.from({ length: frames }, (_, n) => interleaved[n * count + c]),
      );
      const mono = count === 1 ? channels[0] : channels[0].map((x, n) => 0.5 * (x + channels[1][n]));
      if (moreSound) postMessage({ type: 'block', first: firstSample, frames, channels });
      firstSample += frames;
      postMessage({ type: 'levels', ...(moreSound ? spectra.push(mono) : spectra.finish()) });
    }
    await breathe();
    if (mine !== task) return;
  }
  postMessage({ type: 'done', samples: firstSample, seconds: decoding / 1000 });
}

function encode({ samples, rate, channels, kbps }) {
  const begin = performance.now();
  codec.give(new Uint8Array(samples.buffer));
  codec.call('encode', rate, channels, kbps);
  const bytes = new Uint8Array(codec.output());
  postMessage({ type: 'encoded', bytes, seconds: (performance.now() - begin) / 1000 });
  return bytes;
}

const ready = Codec.load().then((made) => {
  codec = made;
  postMessage({ type: 'ready', model: codec.id });
});

const failed = (error) => postMessage({ type: 'error', text: error.message ?? String(error) });
ready.catch(failed);

onmessage = async ({ data }) => {
  const mine = ++task;
  try {
    await ready;
    await open(data.type === 'encode' ? encode(data) : data.bytes, mine);
  } catch (error) {
    failed(error);
  }
};
