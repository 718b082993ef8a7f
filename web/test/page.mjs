// The page in a Chromium without a window, against the program: figures, events, samples, errors, and pictures to look
// at.
//
//     web/build.sh && cargo build --release && (cd web/test && npm install)
//     node web/test/page.mjs target/release/spiccato [RECORDING.wav]
//
// Without a recording, that of the repository is used. The browser is $SPICCATO_BROWSER or `chromium`. Pictures are
// written to web/dist/test.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

const here = dirname(fileURLToPath(import.meta.url));
const [dist, testdata] = [join(here, '../dist'), join(here, '../../testdata')];
const program = resolve(process.argv[2] ?? join(here, '../../target/release/spiccato'));
const recording = resolve(process.argv[3] ?? join(testdata, 'piano/prelude.flac'));
const pictures = join(dist, 'test');
const folder = mkdtempSync(join(tmpdir(), 'spiccato-page-'));
const run = (...options) => execFileSync(program, options, { maxBuffer: 1 << 30 });

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };
const server = createServer((request, response) => {
  try {
    const path = new URL(request.url, 'http://localhost').pathname.slice(1) || 'index.html';
    const content = readFileSync(join(dist, path));
    response.setHeader('content-type', types[extname(path)] ?? 'application/octet-stream').end(content);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const browser = await puppeteer.launch({
  executablePath: process.env.SPICCATO_BROWSER ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(),
  args: ['--no-sandbox', '--mute-audio', '--autoplay-policy=no-user-gesture-required'],
  protocolTimeout: 300_000,
});

// The page's own spectra.
const Spectra = new Function(`${readFileSync(join(here, '../page/spectrum.js'), 'utf8')}; return Spectra;`)();

// Samples of the page, which come as numbers of 32 bits in base64.
const floats = (base64) => {
  const bytes = Buffer.from(base64, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
};

async function opened() {
  const page = await browser.newPage();
  const problems = [];
  page.on('console', (message) => ['error', 'warn'].includes(message.type()) && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('requestfailed', (request) => problems.push(request.url()));
  page.on('request', (request) => {
    const local = request.url().startsWith(`http://127.0.0.1:${server.address().port}/`);
    if (!local && !/^(data|blob):/.test(request.url())) problems.push(`loads ${request.url()}`);
  });
  await page.setViewport({ width: 1100, height: 1000 });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return { page, problems };
}

// Gives the page a file, as if it had been dropped, and waits for its end.
async function play(page, path) {
  const content = readFileSync(path).toString('base64');
  await page.evaluate(
    (content) =>
      open(
        Uint8Array.from(atob(content), (c) => c.charCodeAt(0)),
        'a file.spic',
      ),
    content,
  );
  await page.waitForFunction(() => state.done, { timeout: 180_000 });
}

try {
  const { page, problems } = await opened();

  // Golden files, made with other models: facts and events are there, and why there is no sound.
  const golden = join(testdata, 'golden');
  const refusals = [];
  for (const file of readdirSync(golden).filter((name) => name.endsWith('.spic'))) {
    const path = join(golden, file);
    await play(page, path);
    const found = await page.evaluate(() => ({
      facts: state.facts,
      errors: state.errors.splice(0),
      events: state.views.byFrame,
    }));
    assert.deepEqual(found.facts, JSON.parse(run('info', '--json', path)), file);
    if (found.facts.events === null) continue; // range-coded with a model that is not there
    assert.equal(found.errors.length, 1);
    assert.match(found.errors[0], /this file needs model \w{16}, but the model at hand is/);
    let [start, frames] = [0, 0];
    const expected = Array.from({ length: found.facts.frames }, () => []);
    for (const line of readFileSync(join(golden, `${file.split(/[-.]/)[0]}.txt`), 'utf8').split('\n')) {
      const [, chunk] = line.match(/^chunk \d+ of (\d+) frames/) ?? [];
      if (chunk) [start, frames] = [start + frames, Number(chunk)];
      const [, frame, neurons] = line.match(/^frame (\d+): (.*)/) ?? [];
      if (frame) expected[start + Number(frame)] = neurons.split(' ').map(Number);
    }
    assert.deepEqual(found.events, expected, file);
    refusals.push(file);
  }
  console.log(`${refusals.length} golden files: facts and events are those of the program and of the texts`);

  // Sound: the program encodes, both decode.
  const differences = [];
  for (const options of [
    ['--bitrate', '3'],
    ['--bitrate', '6'],
    ['--quality', '50'],
  ]) {
    const spic = join(folder, 'sound.spic');
    run('compress', '--force', '--quiet', ...options, recording, spic);
    const native = new Float32Array(
      run('decompress', '--quiet', '--raw', '--bits', '32f', spic, '-o', '-').buffer.slice(0),
    );
    await play(page, spic);
    const { base64, ...found } = await page.evaluate(() => {
      const { player, facts, done, errors } = state;
      const samples = new Float32Array(player.decoded * facts.channels);
      for (const { first, channels } of player.blocks) {
        channels.forEach((block, c) => block.forEach((x, n) => (samples[(first + n) * facts.channels + c] = x)));
      }
      const bytes = new Uint8Array(samples.buffer);
      let text = '';
      for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
      return { base64: btoa(text), facts, done, errors };
    });
    const web = floats(base64);
    assert.deepEqual(found.errors, []);
    assert.equal(found.done.samples, found.facts.samples);
    assert.equal(web.length, native.length);
    const square = (x) => x.reduce((sum, value) => sum + value * value, 0);
    const difference = 10 * Math.log10(square(web.map((x, n) => x - native[n])) / native.length);
    // Of the magnitudes alone, relative to those of the program.
    const spectra = new Spectra(found.facts.sample_rate);
    let [error, power] = [0, 0];
    for (let start = 0; start + 2 * spectra.size < web.length; start += spectra.size) {
      const [ours, theirs] = [web, native].map((x) =>
        spectra.powers(x.subarray(start, start + spectra.size)).map(Math.sqrt),
      );
      error += square(ours.map((magnitude, bin) => magnitude - theirs[bin]));
      power += square(theirs);
    }
    const magnitudes = 10 * Math.log10(error / power);
    const speed = found.facts.seconds / found.done.seconds;
    differences.push(difference);
    console.log(
      `${options.join(' ')}: ${found.facts.seconds.toFixed(1)} s, ${found.done.samples} frames; difference of samples ` +
        `${difference.toFixed(1)} dB of full scale, of magnitudes ${magnitudes.toFixed(1)} dB; ${speed.toFixed(1)} x real time`,
    );
    assert.ok(magnitudes < -50, `magnitudes differ by ${magnitudes} dB`);
  }
  // Phases are free: where two magnitudes are nearly equal, another processor may go on from the other one, and the
  // rest of a note then has other phases. Most files have no such place.
  assert.ok(differences.filter((decibels) => decibels < -90).length >= 2, `samples differ by ${differences} dB`);

  // Playing: the clock runs to the place that was asked for, and beyond; then a neuron, and pictures.
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => state.player.position > 5.5 * state.player.rate);
  await page.keyboard.press('Space');
  assert.equal(await page.evaluate(() => state.player.playing), false);
  await page.evaluate(() => state.player.seek(9 * state.player.rate));
  mkdirSync(pictures, { recursive: true });
  const busiest = await page.evaluate(() => {
    const counts = state.views.byNeuron.map((frames) => frames.length);
    choose(counts.indexOf(Math.max(...counts)));
    return [counts.indexOf(Math.max(...counts)), at('neuron').textContent];
  });
  assert.match(busiest[1], new RegExp(`^Neuron ${busiest[0]}: \\d+ events`));
  for (const scheme of ['light', 'dark']) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.evaluate((on) => (at('sort').checked !== on ? at('sort').click() : 0), scheme === 'dark');
    await new Promise((done) => setTimeout(done, 500));
    await page.screenshot({ path: join(pictures, `${scheme}.png`), fullPage: true });
  }
  await page.setViewport({ width: 360, height: 740 });
  await new Promise((done) => setTimeout(done, 500));
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, 'the page fits a phone');
  await page.screenshot({ path: join(pictures, 'phone.png'), fullPage: true });

  // A neuron under the pointer.
  await page.setViewport({ width: 1100, height: 1000 });
  await page.evaluate(() => choose(null));
  const raster = await (await page.$('#raster')).boundingBox();
  for (let i = 0; i < 40 && (await page.evaluate(() => state.views.chosen)) === null; i++) {
    await page.mouse.move(raster.x + 200 + 10 * i, raster.y + 200);
  }
  assert.notEqual(await page.evaluate(() => state.views.chosen), null);

  // A recording is compressed in the page, to nearly the bytes of the program: the browser's samples are the same.
  await page.click('#example');
  await page.waitForFunction(() => state.name === 'example.flac' && state.done, { timeout: 300_000 });
  const made = await page.evaluate(() => ({ facts: state.facts, seconds: state.encoding, errors: state.errors }));
  assert.deepEqual(made.errors, []);
  assert.ok(Math.abs(made.facts.kbps - 3) < 0.1, `${made.facts.kbps} kbit/s`);
  const encoding = (made.facts.seconds / made.seconds).toFixed(1);
  console.log(
    `example: ${made.facts.bytes} bytes, ${made.facts.kbps.toFixed(2)} kbit/s, encoded at ${encoding} x real time`,
  );

  assert.deepEqual(problems, []);
  console.log(`no errors; pictures in ${pictures}`);
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true });
}
