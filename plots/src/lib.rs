//! Charts as SVG: lines and points over linear or logarithmic axes, with labelled marks.
#![forbid(unsafe_code)]

use std::ops::Range;

use anyhow::{Context, Result, anyhow, ensure};
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// How numbers are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances for equal differences.
    Linear,
    /// Equal distances for equal ratios; values of 0 and below are left out.
    Logarithmic,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Layout.
    pub scale: Scale,
    /// From and to; from the data if `None`.
    pub range: Option<Range<f64>>,
}

impl Axis {
    /// A linear axis that spans the data.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// A logarithmic axis that spans the data.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Logarithmic, range: None }
    }
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Style {
    /// A line through the points.
    Line,
    /// A line with a dot at each point.
    LineAndDots,
    /// Dots of this radius in pixels.
    Dots(f64),
}

/// Points with a name.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend; without one it isn't listed.
    pub name: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

impl Series {
    /// A series with a dot at each point and lines between.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, style: Style::LineAndDots }
    }
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
    /// Points with a text beside them, (x, y, text).
    pub marks: Vec<(f64, f64, String)>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// Size of a chart that fits a page of text.
pub const SIZE: (u32, u32) = (720, 440);

/// Colours of the series, red, green and blue, in turn: such as colour-blind readers can tell apart (Okabe & Ito 2008),
/// without the yellow, and seven more.
pub const COLOURS: [(u8, u8, u8); 14] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (60, 60, 60),
    (126, 87, 194),
    (141, 110, 66),
    (150, 150, 150),
    (190, 30, 70),
    (130, 140, 20),
    (110, 205, 180),
    (90, 40, 30),
];

impl Chart {
    /// The chart as an SVG document.
    ///
    /// # Errors
    /// If there is no point that can be drawn.
    pub fn to_svg(&self) -> Result<String> {
        column_to_svg(std::slice::from_ref(self))
    }

    fn draw_on(&self, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<()> {
        let points = || self.series.iter().flat_map(|series| self.drawable(series));
        ensure!(points().next().is_some(), "{}: nothing to draw", self.title);
        let x = span(&self.x, points().map(|p| p.0));
        let y = span(&self.y, points().map(|p| p.1));
        self.draw(area, Coordinate::new(x, self.x.scale), Coordinate::new(y, self.y.scale))
    }

    /// The points of a series that can be drawn.
    fn drawable(&self, series: &Series) -> impl Iterator<Item = (f64, f64)> {
        series.points.iter().copied().filter(|&(x, y)| drawable(x, &self.x) && drawable(y, &self.y))
    }

    /// Where the legend covers least of what is drawn.
    fn legend_position(&self, x: &Coordinate, y: &Coordinate) -> SeriesLabelPosition {
        use SeriesLabelPosition::*;
        const PLACES: [(SeriesLabelPosition, usize); 9] = [
            (MiddleRight, 5),
            (UpperRight, 8),
            (LowerRight, 2),
            (UpperLeft, 6),
            (LowerLeft, 0),
            (UpperMiddle, 7),
            (LowerMiddle, 1),
            (MiddleLeft, 3),
            (MiddleMiddle, 4),
        ];
        // How much there is in each third of a third, from the lower left to the upper right, in steps along the lines.
        let mut crowd = [0; 9];
        let third = |place: f64| (place * 0.003).clamp(0.0, 2.0) as usize;
        for series in &self.series {
            let places: Vec<(f64, f64)> = self
                .drawable(series)
                .map(|p| (f64::from(x.map(&p.0, (0, 1000))), f64::from(y.map(&p.1, (0, 1000)))))
                .collect();
            let steps = if matches!(series.style, Style::Dots(_)) { 1 } else { 20 };
            for pair in places.windows(2) {
                for step in 0..steps {
                    let share = f64::from(step) / f64::from(steps);
                    let along = |from: f64, to: f64| from + share * (to - from);
                    crowd[3 * third(along(pair[0].1, pair[1].1)) + third(along(pair[0].0, pair[1].0))] += 1;
                }
            }
        }
        let least = PLACES.into_iter().min_by_key(|&(_, place)| crowd[place]);
        least.map_or(MiddleRight, |(position, _)| position)
    }

    fn draw(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        x: Coordinate,
        y: Coordinate,
    ) -> Result<()> {
        let legend = self.legend_position(&x, &y);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 17))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style(("sans-serif", 13))
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .x_label_formatter(&|v| label(*v, self.x.scale))
            .y_label_formatter(&|v| label(*v, self.y.scale))
            .draw()
            .map_err(failed)?;
        for (series, &(red, green, blue)) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let colour = RGBColor(red, green, blue);
            let points: Vec<(f64, f64)> = self.drawable(series).collect();
            let name = |annotation: &mut plotters::chart::SeriesAnno<'_, SVGBackend<'_>>| {
                if !series.name.is_empty() {
                    annotation
                        .label(&series.name)
                        .legend(move |(x, y)| Rectangle::new([(x, y - 2), (x + 16, y + 2)], colour.filled()));
                }
            };
            if !matches!(series.style, Style::Dots(_)) {
                name(
                    chart
                        .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
                        .map_err(failed)?,
                );
            }
            let radius = match series.style {
                Style::Line => continue,
                Style::LineAndDots => 3.0,
                Style::Dots(radius) => radius,
            };
            let dots = points.iter().map(|&p| Circle::new(p, radius, colour.filled()));
            let annotation = chart.draw_series(dots).map_err(failed)?;
            if matches!(series.style, Style::Dots(_)) {
                name(annotation);
            }
        }
        for (x, y, text) in &self.marks {
            let mark = EmptyElement::at((*x, *y))
                + Cross::new((0, 0), 5, BLACK.stroke_width(2))
                + Text::new(text.clone(), (8, -14), ("sans-serif", 13));
            chart.draw_series(std::iter::once(mark)).map_err(failed)?;
        }
        if self.series.iter().any(|s| !s.name.is_empty()) {
            chart
                .configure_series_labels()
                .position(legend)
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(200, 200, 200))
                .label_font(("sans-serif", 13))
                .draw()
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// Either kind of axis as one type, so that the code that draws is compiled once.
enum Coordinate {
    Linear(RangedCoordf64),
    Logarithmic(LogCoord<f64>),
}

impl Coordinate {
    fn new(range: Range<f64>, scale: Scale) -> Self {
        match scale {
            Scale::Linear => Self::Linear(range.into()),
            Scale::Logarithmic => Self::Logarithmic(range.log_scale().into()),
        }
    }
}

impl Ranged for Coordinate {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        match self {
            Self::Linear(axis) => axis.map(value, limit),
            Self::Logarithmic(axis) => axis.map(value, limit),
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self {
            Self::Linear(axis) => axis.key_points(hint),
            Self::Logarithmic(axis) => axis.key_points(hint),
        }
    }

    fn range(&self) -> Range<f64> {
        match self {
            Self::Linear(axis) => axis.range(),
            Self::Logarithmic(axis) => axis.range(),
        }
    }
}

impl ValueFormatter<f64> for Coordinate {}

/// Charts one below the other as one SVG document.
///
/// # Errors
/// If there is no chart, or none of a chart's points can be drawn.
pub fn column_to_svg(charts: &[Chart]) -> Result<String> {
    let width = charts.iter().map(|chart| chart.size.0).max().context("no chart to draw")?;
    let mut svg = String::new();
    {
        let height = charts.iter().map(|chart| chart.size.1).sum();
        let mut rest = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        rest.fill(&WHITE).map_err(failed)?;
        for chart in charts {
            let (area, below) = rest.split_vertically(chart.size.1);
            chart.draw_on(&area)?;
            rest = below;
        }
        rest.present().map_err(failed)?;
    }
    Ok(svg)
}

fn drawable(value: f64, axis: &Axis) -> bool {
    let inside = axis.range.as_ref().is_none_or(|range| (range.start..=range.end).contains(&value));
    value.is_finite() && (axis.scale == Scale::Linear || value > 0.0) && inside
}

/// Range of an axis: the one asked for, or that of the data with a little air.
fn span(axis: &Axis, values: impl Iterator<Item = f64>) -> Range<f64> {
    if let Some(range) = &axis.range {
        return range.clone();
    }
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match axis.scale {
        Scale::Linear => {
            let air = if high > low { 0.05 * (high - low) } else { 0.5 * low.abs().max(1.0) };
            low - air..high + air
        }
        Scale::Logarithmic => low / 1.15..high * 1.15,
    }
}

/// The label of a tick. On logarithmic axes 5, 7 and 9 go without: they would run into their neighbours.
fn label(value: f64, scale: Scale) -> String {
    let text = number(value);
    let digit = text.trim_start_matches(['0', '.']).chars().next();
    if scale == Scale::Logarithmic && matches!(digit, Some('5' | '7' | '9')) { String::new() } else { text }
}

/// A number without needless digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (0.001..1e6).contains(&size) {
        let digits = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.1e}")
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing failed: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "sizes & rates".to_owned(),
            x: Axis::logarithmic("density"),
            y: Axis::linear("bytes"),
            series: vec![Series::new("ours", points)],
            marks: vec![(1.0, 2.0, "cross-over".to_owned())],
            size: SIZE,
        }
    }

    #[test]
    fn names_labels_and_one_dot_for_each_drawable_point_are_in_the_document() {
        let svg = chart(vec![(0.1, 1.0), (1.0, 2.0), (0.0, 3.0), (f64::NAN, 1.0)]).to_svg().unwrap();
        for text in ["sizes &amp; rates", "density", "bytes", "ours", "cross-over"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn a_column_holds_all_its_charts() {
        let svg = column_to_svg(&[chart(vec![(1.0, 1.0)]), chart(vec![(1.0, 1.0), (2.0, 2.0)])]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains(&format!(r#"width="{}" height="{}""#, SIZE.0, 2 * SIZE.1)), "{}", &svg[..120]);
        assert!(column_to_svg(&[]).is_err());
    }

    #[test]
    fn a_chart_without_points_is_refused() {
        assert!(chart(vec![(-1.0, 1.0)]).to_svg().is_err());
    }

    #[test]
    fn crowded_ticks_of_logarithmic_axes_have_no_label() {
        let labels = [0.9, 1.0, 5.0, 8.0, 10.0, 50.0].map(|value| label(value, Scale::Logarithmic));
        assert_eq!(labels, ["", "1", "", "8", "10", ""]);
        assert_eq!(label(5.0, Scale::Linear), "5");
    }

    #[test]
    fn numbers_have_the_digits_they_need() {
        assert_eq!(
            ["0", "0.05", "2", "2.5", "1500", "2.0e6"].to_vec(),
            [0.0, 0.05, 2.0, 2.5, 1500.0, 2e6].map(number).to_vec()
        );
    }

    #[test]
    fn the_legend_keeps_out_of_the_way_and_points_beyond_an_axis_are_left_out() {
        let mut chart = chart(vec![(0.1, 9.0), (1.0, 5.0), (10.0, 5.0)]);
        chart.y = Axis { range: Some(0.0..10.0), ..Axis::linear("bytes") };
        let position = |chart: &Chart| {
            let axes = (Coordinate::new(0.1..10.0, Scale::Logarithmic), Coordinate::new(0.0..10.0, Scale::Linear));
            chart.legend_position(&axes.0, &axes.1)
        };
        assert!(matches!(position(&chart), SeriesLabelPosition::UpperRight));
        chart.series[0].points[0].1 = 1.0;
        chart.series[0].points[2].1 = 9.0;
        assert!(matches!(position(&chart), SeriesLabelPosition::LowerRight));
        chart.series[0].points[0].1 = -1.0;
        chart.marks.clear();
        assert_eq!(chart.to_svg().unwrap().matches("<circle").count(), 2);
    }
}
