//! The report in a real browser: a Chromium from `SPICCATO_BROWSER` or `PATH`, without a window. Skipped where there is
//! none.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::util::{Folder, spiccato, succeed, write_tones};

/// Shows the report in frames as wide as a phone and a desk's screen, takes the blind test, and writes what it finds into
/// the document. What the page reports as an error, or would load from elsewhere, is counted from its first line on.
const HARNESS: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body><pre id="found"></pre><script>
const page = PAGE;
const found = { errors: [], loaded: [], wide: [], canvases: 0, painted: 0, players: 0, charts: 0, conditions: [], csv: '' };
window.problem = (text) => found.errors.push(String(text));
const watch = `<script>
  addEventListener('error', (event) => parent.problem(event.message || event.target.outerHTML), true);
  addEventListener('unhandledrejection', (event) => parent.problem(event.reason));
  addEventListener('securitypolicyviolation', (event) => parent.problem(event.violatedDirective + ' ' + event.blockedURI));
  console.error = console.warn = (text) => parent.problem(text);
<\/script>`;
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
async function look(width) {
  const frame = document.createElement('iframe');
  frame.style = `width:${width}px;height:30000px;border:0`;
  frame.srcdoc = page.replace('<head>', '<head>' + watch);
  document.body.append(frame);
  await new Promise((done) => (frame.onload = done));
  await wait(300);
  const inside = frame.contentDocument;
  inside.querySelectorAll('details').forEach((details) => (details.open = true));
  await wait(1000);
  if (inside.documentElement.scrollWidth > width) {
    for (const element of inside.querySelectorAll('body *')) {
      if (element.getBoundingClientRect().right > width + 1 && !element.closest('.scroll')) {
        found.wide.push(`${width}: ${element.tagName} ${element.className}`);
      }
    }
    found.wide.push(`${width}: ${inside.documentElement.scrollWidth}`);
  }
  found.loaded.push(...frame.contentWindow.performance.getEntriesByType('resource').map((entry) => entry.name)
    .filter((name) => !/^(data|blob):/.test(name)));
  found.charts = inside.querySelectorAll('.charts svg').length;
  found.canvases = inside.querySelectorAll('canvas').length;
  found.players = [...inside.querySelectorAll('audio')].filter((player) => player.src.startsWith('blob:')).length;
  found.painted = [...inside.querySelectorAll('canvas')].filter((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(60, 0, 200, 150);
    return new Set(data).size > 20;
  }).length;
  return inside;
}
async function listen(inside) {
  inside.getElementById('begin').click();
  for (let trial = 0; trial < 10 && inside.querySelector('.judged'); trial++) {
    inside.querySelectorAll('.judged button').forEach((button) => button.click());
    inside.querySelectorAll('.judged input').forEach((slider, n) => {
      slider.value = 10 * n;
      slider.dispatchEvent(new Event('input'));
    });
    [...inside.querySelectorAll('#test button')].find((button) => button.textContent === 'Next').click();
    await wait(100);
  }
  found.conditions = [...inside.querySelectorAll('#test tbody th')].map((cell) => cell.textContent);
  found.csv = await (await fetch(inside.querySelector('#test a').href)).text();
}
(async () => {
  try {
    await look(360);
    await listen(await look(1200));
  } catch (error) {
    found.errors.push(String(error));
  }
  document.getElementById('found').textContent = '@@' + JSON.stringify(found) + '@@';
  document.title = 'done';
})();
</script>"#;

fn browser() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SPICCATO_BROWSER") {
        return Some(path.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"].map(OsString::from);
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
}

#[test]
fn the_page_works_without_a_network_and_fits_a_phone() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no Chromium on PATH; name one in SPICCATO_BROWSER");
        return;
    };
    let folder = Folder::new();
    let codecs =
        folder.write("codecs.toml", b"copy = { encode = 'cp {input} {output}', decode = 'cp {input} {output}' }");
    let file = folder.file("a file with a long name & <odd> characters in it, as people have them.wav");
    write_tones(&file, 24_000, 2.0);
    let out = folder.file("report");
    let mut evaluate = spiccato("compare --repeats 1 --rates 2,4 --peers copy,absent --codecs");
    succeed(evaluate.arg(codecs).arg("--out").arg(&out).arg(file));

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let page = serde_json::to_string(&page).unwrap().replace('<', "\\u003c");
    let harness = folder.write("harness.html", HARNESS.replace("PAGE", &page).as_bytes());
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--mute-audio",
        "--autoplay-policy=no-user-gesture-required",
    ]);
    command.arg(format!("--user-data-dir={}", folder.file("profile").display()));
    command.args(["--virtual-time-budget=20000", "--dump-dom"]).arg(format!("file://{}", harness.display()));
    let output = command.output().unwrap();
    let document = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = document
        .split("@@")
        .nth(1)
        .unwrap_or_else(|| panic!("the page did not finish: {}", String::from_utf8_lossy(&output.stderr)));
    let found = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found: Value = serde_json::from_str(&found).unwrap();
    for list in ["errors", "loaded", "wide"] {
        assert_eq!(found[list], Value::Array(Vec::new()), "{list}");
    }
    assert!(found["charts"].as_u64().unwrap() >= 4, "{found}");
    assert_eq!([&found["canvases"], &found["painted"], &found["players"]], [3, 3, 3], "original, ours, the other");
    let mut conditions: Vec<&str> =
        found["conditions"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    conditions.sort_unstable();
    assert_eq!(conditions, ["anchor 3.5 kHz", "copy", "default", "hidden reference"]);
    let mut csv = csv::Reader::from_reader(found["csv"].as_str().unwrap().as_bytes());
    let header = "listener trial position file condition kbps score";
    assert_eq!(csv.headers().unwrap().iter().collect::<Vec<_>>().join(" "), header);
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row[3].starts_with("a file with a long name & <odd>")), "{rows:?}");
}
