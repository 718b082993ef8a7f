//! Gating and dynamic availability for continual learning (Barry, Gerstner & Bellec 2023, GateON).
//!
//! Tasks come one after the other: images with their pixels in another order each time. A context opens some of the gates of
//! a network, and what was relevant in earlier tasks is hardly available for learning ([`gating`](spiccato_snn::gating)).
//! Which task it is is not told, but inferred from the loss. Measured against fine-tuning and each half of the method alone,
//! on a perceptron, a small convolutional network and a small transformer; `gateon-hundred-tasks` goes through a hundred.

mod networks;
mod tasks;

use anyhow::Result;

use self::networks::Architecture;
use self::tasks::{AVAILABILITY, BOTH, Course, Curriculum, GATES, INFERRED, PLAIN, mean, orientations, permutations};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::images::Split;

const PAPER: &str = "Barry, Gerstner & Bellec, Context selectivity with dynamic availability enables lifelong continual \
                     learning, arXiv 2306.01690, 2023";

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "gateon",
    claim: "networks with gates by context and availability by relevance learn one task after the other without forgetting, \
            and infer which task it is",
    paper: PAPER,
    parameters: &[
        TASKS,
        UNITS,
        OPEN,
        STEPS,
        BATCH,
        RATE,
        CONVOLUTIONAL_UNITS,
        CONVOLUTIONAL_OPEN,
        CONVOLUTIONAL_STEPS,
        TRANSFORMER_CHANNELS,
        TRANSFORMER_UNITS,
        TRANSFORMER_OPEN,
        TRANSFORMER_STEPS,
        TRANSFORMER_RATE,
        TRANSFORMER_AGEING,
        SMALL_TASKS,
        SMALL_UNITS,
        SMALL_STEPS,
        SMALL_BATCH,
    ],
    run,
};

pub(super) const HUNDRED: Experiment = Experiment {
    name: "gateon-hundred-tasks",
    claim: "a network with gates and availability learns a hundred tasks one after the other",
    paper: PAPER,
    parameters: &[MANY_TASKS, MANY_UNITS, MANY_OPEN, MANY_STEPS, MANY_BATCH, MANY_RATE, MANY_AGEING],
    run: run_hundred,
};

const TASKS: Parameter = Parameter::count("tasks", "permutations of the pixels", 12, 5);
const UNITS: Parameter = Parameter::count("units", "units of either hidden layer", 512, 100);
const OPEN: Parameter = Parameter::quantity("open", "share of the gates that a context opens", 0.12, 0.2);
const STEPS: Parameter = Parameter::count("steps", "steps of learning a task", 150, 90);
const BATCH: Parameter = Parameter::count("batch", "images in a step", 256, 50);
const RATE: Parameter = Parameter::quantity("rate", "learning rate", 5e-3, 1e-2);
const CONVOLUTIONAL_UNITS: Parameter =
    Parameter::count("convolutional.units", "units after the convolutions, in the full form only", 256, 256);
const CONVOLUTIONAL_OPEN: Parameter =
    Parameter::quantity("convolutional.open", "share of the gates that a context opens", 0.2, 0.2);
const CONVOLUTIONAL_STEPS: Parameter = Parameter::count("convolutional.steps", "steps of learning a task", 150, 150);
const TRANSFORMER_CHANNELS: Parameter =
    Parameter::count("transformer.channels", "channels of a token, in the full form only", 64, 64);
const TRANSFORMER_UNITS: Parameter =
    Parameter::count("transformer.units", "units behind attention, in the full form only", 256, 256);
const TRANSFORMER_OPEN: Parameter =
    Parameter::quantity("transformer.open", "share of the gates that a context opens", 0.4, 0.4);
const TRANSFORMER_STEPS: Parameter = Parameter::count("transformer.steps", "steps of learning a task", 150, 150);
const TRANSFORMER_RATE: Parameter = Parameter::quantity("transformer.rate", "learning rate", 5e-3, 5e-3);
const TRANSFORMER_AGEING: Parameter = Parameter::quantity(
    "transformer.ageing",
    "share by which a weight of mean relevance becomes less available in a step",
    0.033,
    0.033,
);
const SMALL_TASKS: Parameter = Parameter::count("reactivation.tasks", "tasks for a network that is too small", 20, 8);
const SMALL_UNITS: Parameter = Parameter::count("reactivation.units", "units of either of its hidden layers", 64, 24);
const SMALL_STEPS: Parameter = Parameter::count("reactivation.steps", "steps of learning a task", 100, 60);
const SMALL_BATCH: Parameter = Parameter::count("reactivation.batch", "images in a step", 128, 50);

const MANY_TASKS: Parameter = Parameter::count("tasks", "permutations of the pixels", 100, 12);
const MANY_UNITS: Parameter = Parameter::count("units", "units of either hidden layer", 400, 120);
const MANY_OPEN: Parameter = Parameter::quantity("open", "share of the gates that a context opens", 0.1, 0.1);
const MANY_STEPS: Parameter = Parameter::count("steps", "steps of learning a task", 50, 40);
const MANY_BATCH: Parameter = Parameter::count("batch", "images in a step", 128, 50);
const MANY_RATE: Parameter = Parameter::quantity("rate", "learning rate", 5e-3, 2e-2);
const MANY_AGEING: Parameter = Parameter::quantity(
    "ageing",
    "share by which a weight of mean relevance becomes less available in a step",
    AGEING,
    AGEING,
);

/// By how much a weight of mean relevance becomes less available in a step, as in the authors' code.
const AGEING: f64 = 0.01;

/// MNIST, of which `test` images are tested on in each task, or drawn digits.
fn data(settings: &Settings, test: usize) -> Result<Split> {
    if settings.quick {
        return Ok(Split::drawn(1000, 200, 12, settings.seed));
    }
    let split = settings.mnist()?;
    Ok(Split { test: split.test.truncated(test), ..split })
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (seed, quick) = (settings.seed, settings.quick);
    let split = data(settings, 2000)?;
    let pixels = split.train.side * split.train.side;
    let tasks = settings.count(&TASKS);
    let again = if quick { &[1][..] } else { &[2, 6] };
    let curriculum = Curriculum {
        split: &split,
        tasks: permutations(tasks, pixels, seed),
        again: again.iter().copied().filter(|&task| task < tasks).collect(),
        architecture: Architecture::Perceptron(settings.count(&UNITS)),
        share: settings.quantity(&OPEN),
        steps: settings.count(&STEPS),
        batch: settings.count(&BATCH),
        rate: settings.quantity(&RATE),
        ageing: AGEING,
        reactivation: 0.0,
        seed,
    };
    let courses = curriculum.compare([PLAIN, GATES, AVAILABILITY, INFERRED])?;
    let [plain, gates, availability, ours] = &courses[..] else { anyhow::bail!("four networks learn") };
    let part = "permuted pixels";
    let (least, forgotten) = if quick { (70.0, 6.0) } else { (92.0, 2.0) };
    let mut measurements = vec![
        Measurement::at_least(
            part,
            "mean accuracy on all tasks at the end, %; fine-tuning as ablation",
            ours.mean_kept(),
            least,
        )
        .ablated(plain.mean_kept()),
        Measurement::at_most(
            part,
            "points forgotten since a task was learned; fine-tuning as ablation",
            ours.forgotten(),
            forgotten,
        )
        .ablated(plain.forgotten()),
        Measurement::at_least(
            part,
            "mean accuracy above that with gates alone, points",
            ours.mean_kept() - gates.mean_kept(),
            0.3,
        )
        .ablated(0.0),
        Measurement::at_least(
            part,
            "mean accuracy above that with availability alone, points",
            ours.mean_kept() - availability.mean_kept(),
            3.0,
        )
        .ablated(0.0),
        Measurement::at_least(
            part,
            "tasks with a context of their own",
            ours.told_apart as f64,
            if quick { tasks as f64 } else { tasks as f64 - 1.0 },
        ),
        Measurement::at_least(part, "tasks known again", ours.recognised as f64, curriculum.again.len() as f64),
    ];
    let mut charts = vec![chart(
        "Accuracy on each task at the end",
        &[
            ("fine-tuning", plain),
            ("gates alone", gates),
            ("availability alone", availability),
            ("both, task inferred", ours),
        ],
    )];
    reactivation(&split, settings, &mut measurements, &mut charts)?;
    if !quick {
        // A quarter of the pixels.
        let split = Split { train: split.train.clone().halved(), test: split.test.clone().halved() };
        let tasks = orientations(split.train.side);
        let convolutional = Curriculum {
            split: &split,
            tasks: tasks.clone(),
            again: Vec::new(),
            architecture: Architecture::Convolutional(settings.count(&CONVOLUTIONAL_UNITS)),
            share: settings.quantity(&CONVOLUTIONAL_OPEN),
            steps: settings.count(&CONVOLUTIONAL_STEPS),
            batch: 128,
            ..curriculum
        };
        let transformer = Curriculum {
            tasks,
            again: Vec::new(),
            architecture: Architecture::Transformer {
                channels: settings.count(&TRANSFORMER_CHANNELS),
                units: settings.count(&TRANSFORMER_UNITS),
            },
            share: settings.quantity(&TRANSFORMER_OPEN),
            steps: settings.count(&TRANSFORMER_STEPS),
            rate: settings.quantity(&TRANSFORMER_RATE),
            ageing: settings.quantity(&TRANSFORMER_AGEING),
            ..convolutional
        };
        for (part, title, curriculum, least) in [
            ("convolutional network", "Convolutional network, images in eight orientations", &convolutional, 85.0),
            ("transformer", "Transformer, images in eight orientations", &transformer, 80.0),
        ] {
            let courses = curriculum.compare([PLAIN, BOTH])?;
            let [plain, ours] = &courses[..] else { anyhow::bail!("two networks learn") };
            measurements.extend([
                Measurement::at_least(
                    part,
                    "mean accuracy on all tasks at the end, %; fine-tuning as ablation",
                    ours.mean_kept(),
                    least,
                )
                .ablated(plain.mean_kept()),
                Measurement::at_most(
                    part,
                    "points forgotten since a task was learned; fine-tuning as ablation",
                    ours.forgotten(),
                    5.0,
                )
                .ablated(plain.forgotten()),
            ]);
            charts.push(chart(title, &[("fine-tuning", plain), ("gates and availability", ours)]));
        }
    }
    Ok(Outcome::new(measurements, charts))
}

/// A network that is too small for all tasks: with reactivation, it still learns the last ones.
fn reactivation(
    split: &Split,
    settings: &Settings,
    measurements: &mut Vec<Measurement>,
    charts: &mut Vec<Chart>,
) -> Result<()> {
    let pixels = split.train.side * split.train.side;
    let tasks = settings.count(&SMALL_TASKS);
    let with = |reactivation: f64| {
        let curriculum = Curriculum {
            split,
            tasks: permutations(tasks, pixels, settings.seed),
            again: Vec::new(),
            architecture: Architecture::Perceptron(settings.count(&SMALL_UNITS)),
            share: 0.5,
            steps: settings.count(&SMALL_STEPS),
            batch: settings.count(&SMALL_BATCH),
            rate: 1e-2,
            ageing: AGEING,
            reactivation,
            seed: settings.seed,
        };
        curriculum.learn(BOTH, tasks)
    };
    let (fixed, ours) = rayon::join(|| with(0.0), || with(1.0));
    let (fixed, ours) = (fixed?, ours?);
    let late = |course: &Course| mean(&course.learned[tasks - tasks.div_ceil(4)..]);
    measurements.push(
        Measurement::at_least(
            "reactivation",
            "accuracy on the last quarter of the tasks, once learned, above that without, points",
            late(&ours) - late(&fixed),
            3.0,
        )
        .ablated(0.0),
    );
    let points = |course: &Course| (1..).map(f64::from).zip(course.learned.iter().copied()).collect();
    charts.push(Chart {
        title: "A small network: accuracy on each task once learned".to_owned(),
        x: Axis::linear("task"),
        y: Axis::linear("right, %"),
        series: vec![Series::new("with reactivation", points(&ours)), Series::new("without", points(&fixed))],
        marks: Vec::new(),
        size: SIZE,
    });
    Ok(())
}

fn chart(title: &str, courses: &[(&str, &Course)]) -> Chart {
    let points = |course: &Course| (1..).map(f64::from).zip(course.kept.iter().copied()).collect();
    Chart {
        title: title.to_owned(),
        x: Axis::linear("task"),
        y: Axis::linear("right, %"),
        series: courses.iter().map(|(name, course)| Series::new(*name, points(course))).collect(),
        marks: Vec::new(),
        size: SIZE,
    }
}

fn run_hundred(settings: &Settings) -> Result<Outcome> {
    let split = data(settings, 500)?;
    let pixels = split.train.side * split.train.side;
    let count = settings.count(&MANY_TASKS);
    let curriculum = Curriculum {
        split: &split,
        tasks: permutations(count, pixels, settings.seed),
        again: Vec::new(),
        architecture: Architecture::Perceptron(settings.count(&MANY_UNITS)),
        share: settings.quantity(&MANY_OPEN),
        steps: settings.count(&MANY_STEPS),
        batch: settings.count(&MANY_BATCH),
        rate: settings.quantity(&MANY_RATE),
        ageing: settings.quantity(&MANY_AGEING),
        reactivation: 0.0,
        seed: settings.seed,
    };
    let every = (count / 10).max(1);
    let (plain, ours) = rayon::join(|| curriculum.learn(PLAIN, every), || curriculum.learn(BOTH, every));
    let (plain, ours) = (plain?, ours?);
    let part = "permuted pixels";
    let least = if settings.quick { 50.0 } else { 75.0 };
    let measurements = vec![
        Measurement::at_least(
            part,
            "mean accuracy on all tasks at the end, %; fine-tuning as ablation",
            ours.mean_kept(),
            least,
        )
        .ablated(plain.mean_kept()),
    ];
    let chart = Chart {
        title: format!("{count} tasks, one after the other"),
        x: Axis::linear("tasks learned"),
        y: Axis::linear("right on all tasks so far, %"),
        series: vec![
            Series::new("gates and availability", ours.mean.clone()),
            Series::new("fine-tuning", plain.mean.clone()),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}
