//! Small tables of values with a class: Fisher's irises and tumours of the breast (`data/README.md`).

use anyhow::{Context, Result, ensure};

use spiccato_neurons::Random;

/// Samples with a class.
#[derive(Debug)]
pub(super) struct Table {
    values: Vec<Vec<f64>>,
    classes: Vec<usize>,
}

pub(super) fn irises() -> Result<Table> {
    Table::parse(include_str!("../data/iris.csv"))
}

pub(super) fn breast_cancer() -> Result<Table> {
    Table::parse(include_str!("../data/breast-cancer.csv"))
}

impl Table {
    /// Rows of numbers after a line of names; the last one is the class.
    fn parse(text: &str) -> Result<Self> {
        let (mut values, mut classes) = (Vec::new(), Vec::new());
        for line in text.lines().skip(1) {
            let (row, class) = line.rsplit_once(',').with_context(|| format!("'{line}' has no class"))?;
            values.push(row.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?);
            classes.push(class.parse()?);
        }
        ensure!(!values.is_empty() && values.iter().all(|row| row.len() == values[0].len()), "rows of unequal length");
        Ok(Self { values, classes })
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    pub(super) fn classes(&self) -> usize {
        self.classes.iter().max().map_or(0, |most| most + 1)
    }

    pub(super) fn values(&self, row: usize) -> &[f64] {
        &self.values[row]
    }

    pub(super) fn class(&self, row: usize) -> usize {
        self.classes[row]
    }

    /// The part of each row, as many of each class in each, drawn at random.
    pub(super) fn parts(&self, count: usize, random: &mut Random) -> Vec<usize> {
        let mut parts = vec![0; self.len()];
        for class in 0..self.classes() {
            let mut rows: Vec<usize> = (0..self.len()).filter(|&row| self.classes[row] == class).collect();
            random.shuffle(&mut rows);
            rows.into_iter().enumerate().for_each(|(i, row)| parts[row] = i % count);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_those_of_the_archive() -> Result<()> {
        let (irises, tumours) = (irises()?, breast_cancer()?);
        assert_eq!((irises.len(), irises.classes(), irises.values(0)), (150, 3, &[5.1, 3.5, 1.4, 0.2][..]));
        assert_eq!((tumours.len(), tumours.classes(), tumours.values(0).len()), (569, 2, 10));
        assert_eq!((0..569).filter(|&row| tumours.class(row) == 1).count(), 357);
        let parts = irises.parts(5, &mut Random::new(1, 0));
        for part in 0..5 {
            let rows = |class| (0..150).filter(|&row| parts[row] == part && irises.class(row) == class).count();
            assert_eq!([rows(0), rows(1), rows(2)], [10; 3]);
        }
        Ok(())
    }
}
