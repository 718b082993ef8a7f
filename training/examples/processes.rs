//! Speed and messages of several processes that train one model, on tones made here:
//! `mpirun -n 2 processes CONFIG.toml STEPS`, with `RAYON_NUM_THREADS` and `CANDLE_NUM_THREADS` set to 1.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, bail};
use spiccato_datasets::{Audio, Source, Split};
use spiccato_training::data::{CorpusSettings, WeightedSources, open_corpus};
use spiccato_training::mpi::Mpi;
use spiccato_training::{Processes, Trainer, TrainingConfig};

/// Counts the bytes that this process sends and receives.
struct Counted(Mpi, Rc<Cell<(usize, usize)>>);

impl Processes for Counted {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn count(&self) -> usize {
        self.0.count()
    }

    fn exchange(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let (sent, received) = self.1.get();
        let length = message.len();
        let messages = self.0.exchange(message)?;
        let all: usize = messages.iter().map(Vec::len).sum();
        self.1.set((sent + length * (self.count() - 1), received + all - length));
        Ok(messages)
    }

    fn distribute(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let own = messages.get(self.rank()).map_or(0, Vec::len);
        let sent: usize = messages.iter().map(Vec::len).sum();
        let messages = self.0.distribute(messages)?;
        let received: usize = messages.iter().map(Vec::len).sum();
        let before = self.1.get();
        self.1.set((before.0 + sent - own, before.1 + received - own));
        Ok(messages)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, steps] = &arguments[..] else { bail!("expected a configuration and a number of steps") };
    let mut config = TrainingConfig::from_toml(&std::fs::read_to_string(config)?)?;
    (config.steps, config.validation_interval, config.checkpoint_seconds) = (steps.parse()?, u64::MAX, 1e9);
    (config.prior.start, config.prior.information_ramp) = (0.0, (0.0, 0.0));
    let folder = tempfile::tempdir()?;
    let wav = folder.path().join("chords.wav");
    let spec = hound::WavSpec {
        sample_rate: 24_000,
        channels: 1,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&wav, spec)?;
    for n in 0..60 * spec.sample_rate {
        writer.write_sample(0.2 * (n as f32 * (0.02 + (n / 9000 % 7) as f32 * 0.01)).sin())?;
    }
    writer.finalize()?;
    let sources = vec![Source::new(Audio::File(wav), Split::Train)];
    let settings = CorpusSettings::new(folder.path().join("cache"));
    let corpus = open_corpus(&[WeightedSources { weight: 1.0, sources }], &settings, |_, _| ())?;
    let bytes = Rc::new(Cell::new((0, 0)));
    let processes = Counted(Mpi::start()?, Rc::clone(&bytes));
    let (rank, count) = (processes.rank(), processes.count());
    let mut trainer = Trainer::start(config, &corpus, &folder.path().join("run"))?.with_processes(Box::new(processes));
    let mut start = Instant::now();
    trainer.run(&corpus, |step, _| {
        if step == 1 {
            start = Instant::now(); // the first step makes plans and buffers
        }
        true
    })?;
    if rank == 0 {
        let steps = trainer.step() as f64;
        let (sent, received) = bytes.get();
        let seconds = start.elapsed().as_secs_f64() / (steps - 1.0);
        let megabytes = |bytes: usize| bytes as f64 / steps / 1e6;
        println!(
            "{count} processes: {seconds:.3} s a step; {:.2} MB sent and {:.2} MB received a step by process 0",
            megabytes(sent),
            megabytes(received)
        );
    }
    Ok(())
}

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
