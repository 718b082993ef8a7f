//! The results as tables in CSV.

use anyhow::Result;

use super::midi::{KEYS, key_name};
use super::synchrony::{Correlogram, Synchrony};
use super::tuning::Tuning;

fn table(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(header)?;
    for row in rows {
        out.write_record(row)?;
    }
    Ok(out.into_inner()?)
}

/// One row for each neuron: its events, the key it answers to best, and its timing to onsets.
///
/// # Errors
/// If the table can't be built.
pub fn neuron_table(events: &[u64], tuning: &Tuning, synchrony: &Synchrony) -> Result<Vec<u8>> {
    let columns = [
        "neuron",
        "events",
        "key",
        "d_prime",
        "hits",
        "false_alarms",
        "tuning_score",
        "tuning_p",
        "tuned",
        "peak_lag_ms",
        "peak_over_control",
        "synchrony_score",
        "synchrony_p",
        "synchronous",
    ];
    let rows = events.iter().zip(&tuning.neurons).zip(&synchrony.neurons).enumerate();
    let rows = rows.map(|(i, ((events, neuron), correlogram))| {
        let (lag, height) = correlogram.peak();
        vec![
            i.to_string(),
            events.to_string(),
            key_name(neuron.key),
            number(neuron.d_prime),
            number(neuron.hits),
            number(neuron.false_alarms),
            number(neuron.score),
            number(neuron.p),
            neuron.is_tuned().to_string(),
            number(lag),
            number(height),
            number(correlogram.score),
            number(correlogram.p),
            correlogram.is_synchronous().to_string(),
        ]
    });
    table(columns.map(str::to_owned).to_vec(), rows)
}

/// d′ of each neuron (rows) for each key (columns); empty where the key was struck too seldom.
///
/// # Errors
/// If the table can't be built.
pub fn selectivity_table(tuning: &Tuning) -> Result<Vec<u8>> {
    let mut header = vec!["neuron".to_owned()];
    header.extend((0..KEYS as u8).map(key_name));
    let rows = tuning.d_prime.chunks_exact(KEYS).enumerate().map(|(neuron, d_prime)| {
        let mut row = vec![neuron.to_string()];
        row.extend(d_prime.iter().copied().map(number));
        row
    });
    table(header, rows)
}

/// Cross-correlogram of each neuron with the onsets, and of all events (rows): mean of the controls, then events at
/// each lag in milliseconds.
///
/// # Errors
/// If the table can't be built.
pub fn correlogram_table(synchrony: &Synchrony) -> Result<Vec<u8>> {
    let mut header = vec!["neuron".to_owned(), "control".to_owned()];
    header.extend(synchrony.all.lags().map(|lag| format!("{lag:.0} ms")));
    let row = |name: String, correlogram: &Correlogram| {
        let mut row = vec![name, number(correlogram.control)];
        row.extend(correlogram.counts.iter().map(f64::to_string));
        row
    };
    let neurons = synchrony.neurons.iter().enumerate().map(|(neuron, c)| row(neuron.to_string(), c));
    table(header, std::iter::once(row("all".to_owned(), &synchrony.all)).chain(neurons))
}

/// At most four digits after the point; empty for NaN.
fn number(value: f64) -> String {
    if value.is_nan() {
        return String::new();
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::piece::tests::{NEURONS, synthetic};
    use super::super::{synchrony, tuning};
    use super::*;

    #[test]
    fn tables_have_a_row_for_each_neuron_and_a_cell_for_each_column() {
        let pieces = synthetic(false);
        let (tuning, synchrony) = (tuning(&pieces).unwrap(), synchrony(&pieces).unwrap());
        let events = vec![7; NEURONS.into()];
        for (table, rows, columns) in [
            (neuron_table(&events, &tuning, &synchrony).unwrap(), 24, 14),
            (selectivity_table(&tuning).unwrap(), 24, 89),
            (correlogram_table(&synchrony).unwrap(), 25, 67),
        ] {
            let mut reader = csv::Reader::from_reader(&table[..]);
            assert_eq!(reader.headers().unwrap().len(), columns);
            assert_eq!(reader.records().map(|record| record.unwrap().len()).collect::<Vec<_>>(), vec![columns; rows]);
        }
        let text = String::from_utf8(neuron_table(&events, &tuning, &synchrony).unwrap()).unwrap();
        let first: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
        assert_eq!((first[..3].to_vec(), first[8], first[9]), (vec!["0", "7", "D#3"], "true", "32"));
        assert_eq!([0.25, 3.0, -0.1, f64::NAN].map(number), ["0.25", "3", "-0.1", ""]);
    }
}
