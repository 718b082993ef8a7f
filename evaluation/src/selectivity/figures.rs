//! Pictures of the results.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;

use super::midi::KEYS;
use super::midi::Note;
use super::piece::{FRAME_RATE, Piece};
use super::synchrony::{Correlogram, Synchrony};
use super::tuning::Tuning;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

/// Size of the raster plot in pixels, and how much of its height the piano roll takes.
const RASTER_SIZE: (u32, u32) = (960, 720);
const ROLL_HEIGHT: u32 = 250;

/// Seconds after a strike in which an event of a neuron tuned to the key is drawn as an answer.
const ANSWER: Range<f64> = -0.024..0.072;

/// Keys (across) that each tuned neuron (upwards, in the order of their best keys) is selective for.
pub fn selectivity_chart(title: &str, tuning: &Tuning) -> Chart {
    let order = tuned_by_key(tuning);
    let number = |key: usize| (key + 21) as f64;
    let best = order.iter().enumerate().map(|(rank, &n)| (number(tuning.neurons[n].key.into()), rank as f64));
    let others = order.iter().enumerate().flat_map(|(rank, &n)| {
        let scores = &tuning.scores[n * KEYS..][..KEYS];
        let best = usize::from(tuning.neurons[n].key);
        let significant = move |&key: &usize| key != best && scores[key] > tuning.threshold;
        (0..KEYS).filter(significant).map(move |key| (number(key), rank as f64))
    });
    Chart {
        title: title.to_owned(),
        x: Axis { range: Some(20.0..109.0), ..Axis::linear("key, as its number in MIDI (60 is middle C)") },
        y: Axis::linear("tuned neurons"),
        series: vec![
            Series { name: "best key".to_owned(), points: best.collect(), style: Style::Dots(2.5) },
            Series { name: "other keys".to_owned(), points: others.collect(), style: Style::Dots(1.2) },
        ],
        marks: Vec::new(),
        size: SIZE,
    }
}

/// Events around onsets relative to the controls, one line for each named regime, with the height that the peak of a
/// control seldom exceeds.
pub fn synchrony_chart(title: &str, regimes: &[(String, &Synchrony)]) -> Chart {
    let lines = regimes.iter().flat_map(|(name, synchrony)| {
        let Correlogram { counts, control, control_peak, .. } = &synchrony.all;
        let relative: Vec<(f64, f64)> = synchrony.all.lags().zip(counts).map(|(lag, c)| (lag, c / control)).collect();
        let bound = synchrony.all.lags().map(|lag| (lag, control_peak / control)).collect();
        [
            Series::new(name, relative),
            Series { name: format!("{name}: 99 % of controls stay below"), points: bound, style: Style::Line },
        ]
    });
    Chart {
        title: title.to_owned(),
        x: Axis { range: Some(-520.0..520.0), ..Axis::linear("time of events after an onset, ms") },
        y: Axis::linear("events relative to shifted controls"),
        series: lines.collect(),
        marks: Vec::new(),
        size: SIZE,
    }
}

/// Tuned neurons in the order of their keys.
fn tuned_by_key(tuning: &Tuning) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tuning.neurons.len()).filter(|&n| tuning.neurons[n].is_tuned()).collect();
    order.sort_by_key(|&n| tuning.neurons[n].key);
    order
}

/// The events of a piece above its piano roll, from `seconds.start` to `seconds.end`, as an SVG document. Tuned neurons
/// are on top, in the order of their keys; their answers to strikes of their key are coloured.
///
/// # Errors
/// If drawing fails.
pub fn raster(title: &str, piece: &Piece, tuning: &Tuning, seconds: Range<f64>) -> Result<String> {
    let tuned = tuned_by_key(tuning);
    let mut rows: Vec<usize> = (0..tuning.neurons.len()).filter(|n| !tuning.neurons[*n].is_tuned()).collect();
    rows.extend(tuned);
    let mut place = vec![0.0; rows.len()];
    rows.iter().enumerate().for_each(|(row, &neuron)| place[neuron] = row as f64);

    let answers = |neuron: usize, time: f64| {
        let of = &tuning.neurons[neuron];
        let struck = |note: &Note| note.key == of.key && ANSWER.contains(&(time - note.onset));
        of.is_tuned() && piece.notes().iter().any(struck)
    };
    let frames = (seconds.start * FRAME_RATE).ceil() as u32..(seconds.end * FRAME_RATE) as u32;
    let events = frames.flat_map(|frame| {
        let time = f64::from(frame) / FRAME_RATE;
        piece.events().row(frame).iter().map(move |&neuron| (usize::from(neuron), time))
    });
    let (blue, grey) = (RGBColor(0, 114, 178), RGBColor(150, 150, 150));
    let dots = events.map(|(neuron, time)| {
        let (radius, colour) = if answers(neuron, time) { (2, blue) } else { (1, grey) };
        Circle::new((time, place[neuron]), radius, colour.filled())
    });
    let notes = piece.notes().iter().filter(|note| note.onset < seconds.end && note.release > seconds.start);
    let bars = notes.map(|note| {
        let (from, to) = (note.onset.max(seconds.start), note.release.min(seconds.end));
        let number = f64::from(note.key) + 21.0;
        Rectangle::new([(from, number - 0.5), (to, number + 0.5)], RGBColor(213, 94, 0).filled())
    });

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, RASTER_SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (top, bottom) = area.split_vertically(RASTER_SIZE.1 - ROLL_HEIGHT);
        panel(&top, title, seconds.clone(), -1.0..rows.len() as f64, ("", "neurons, tuned ones on top"), dots)?;
        panel(&bottom, "", seconds.clone(), 20.5..108.5, ("seconds", "key"), bars)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Draws elements over axes of time and something else.
fn panel<'a, E>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    title: &str,
    x: Range<f64>,
    y: Range<f64>,
    (x_label, y_label): (&str, &str),
    elements: impl Iterator<Item = E>,
) -> Result<()>
where
    E: Drawable<SVGBackend<'a>>,
    for<'b> &'b E: PointCollection<'b, (f64, f64)>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(10)
        .margin_right(24)
        .x_label_area_size(if x_label.is_empty() { 20 } else { 40 })
        .y_label_area_size(62)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc(x_label)
        .y_desc(y_label)
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()
        .map_err(failed)?;
    chart.draw_series(elements).map_err(failed)?;
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing failed: {error}")
}

#[cfg(test)]
mod tests {
    use super::super::piece::tests::synthetic;
    use super::super::{synchrony, tuning};
    use super::*;

    #[test]
    fn the_raster_shows_every_event_and_note_of_its_seconds() {
        let pieces = synthetic(false);
        let tuning = tuning(&pieces).unwrap();
        let svg = raster("A & B", &pieces[0], &tuning, 4.0..9.0).unwrap();
        let events: usize = (250..562).map(|frame| pieces[0].events().row(frame).len()).sum();
        assert_eq!(svg.matches("<circle").count(), events);
        let notes = pieces[0].notes().iter().filter(|note| note.onset < 9.0 && note.release > 4.0).count();
        assert_eq!(svg.matches("#D55E00").count(), notes);
        assert!(svg.contains("A &amp; B") && svg.contains("seconds"));
    }

    #[test]
    fn charts_show_the_tuned_neurons_and_a_line_for_each_regime() {
        let pieces = synthetic(false);
        let (tuning, synchrony) = (tuning(&pieces).unwrap(), synchrony(&pieces).unwrap());
        let chart = selectivity_chart("keys", &tuning);
        assert_eq!(chart.series[0].points[0], (51.0, 0.0));
        assert_eq!(chart.series[0].points.len(), 2);
        assert_eq!(chart.series[1].points.len(), 1, "neuron 2 answers to a second key");
        let chart = synchrony_chart("onsets", &[("sparse".to_owned(), &synchrony)]);
        let peak = chart.series[0].points.iter().copied().fold((0.0, 0.0), |p, q| if q.1 > p.1 { q } else { p });
        assert_eq!(peak.0, 32.0);
        assert!(peak.1 > chart.series[1].points[0].1);
        assert!(chart.to_svg().is_ok());
    }
}
