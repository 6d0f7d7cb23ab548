//! Pictures of results, as SVG: bars for contenders beside each other, lines for what grows.

use std::fmt::Write;

use crate::outcome::Picture;
use crate::rounds::Rounds;

const WIDTH: f64 = 860.0;
/// The names stand left of this.
const LEFT: f64 = 230.0;
/// The longest bar ends here; its figure follows.
const RIGHT: f64 = 760.0;
const TOP: f64 = 46.0;
const BAR: f64 = 18.0;
const STEP: f64 = 26.0;
/// The broker's bars, and everybody else's.
const OURS: &str = "#b4561f";
const OTHERS: &str = "#8aa0b4";
const LINES: [&str; 4] = ["#b4561f", "#1f6fb4", "#2a9d5c", "#8b1f4a"];
const HEIGHT_OF_LINES: f64 = 240.0;

pub fn plot(title: &str, rounds: &Rounds, picture: &Picture) -> String {
    match picture {
        Picture::Bars { column, logarithmic } => bars(title, rounds, column, *logarithmic),
        Picture::Lines { columns, across } => lines(title, rounds, columns, across),
    }
}

fn bars(title: &str, rounds: &Rounds, column: &str, logarithmic: bool) -> String {
    let bars: Vec<(&str, f64, f64, f64)> = rounds
        .rows
        .iter()
        .filter_map(|row| {
            let values = rounds.values(&row.name, column)?;
            let (low, high) = ends(values);
            Some((row.name.as_str(), rounds.median(&row.name, column)?, low, high))
        })
        .collect();
    let (least, most) = ends(&bars.iter().flat_map(|bar| [bar.2, bar.3]).collect::<Vec<_>>());
    // On a logarithmic scale the least has a bar too.
    let base = least.max(f64::MIN_POSITIVE) / 2.0;
    let length = |value: f64| {
        let share = if logarithmic { (value / base).ln() / (most / base).ln() } else { value / most };
        (RIGHT - LEFT) * share.clamp(0.0, 1.0)
    };
    let scale = if logarithmic { ", logarithmic" } else { "" };
    let mut text = open(TOP + STEP * bars.len() as f64 + 8.0, &format!("{title}: {column}{scale}"));
    for (at, (name, value, low, high)) in bars.iter().enumerate() {
        let y = TOP + STEP * at as f64;
        let colour = if is_ours(name) { OURS } else { OTHERS };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"{BAR}\" fill=\"{colour}\"/><path d=\"M{:.1} {:.1}H{:.1}\" stroke=\"black\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            y + 13.0,
            escaped(name),
            length(*value),
            LEFT + length(*low),
            y + BAR / 2.0,
            LEFT + length(*high),
            LEFT + length(*high).max(length(*value)) + 6.0,
            y + 13.0,
            rough(*value),
        );
    }
    text + "</svg>\n"
}

fn lines(title: &str, rounds: &Rounds, columns: &[String], across: &str) -> String {
    let points: Vec<(f64, &str)> = rounds
        .rows
        .iter()
        .filter_map(|row| Some((row.name.replace(',', "").parse().ok()?, row.name.as_str())))
        .collect();
    let (first, last) = ends(&points.iter().map(|point| point.0).collect::<Vec<_>>());
    let x = |at: f64| {
        LEFT / 2.0 + (RIGHT - LEFT / 2.0) * ((at / first).ln() / (last / first).ln()).clamp(0.0, 1.0)
    };
    // Each as a multiple of what it was at first: what does not grow is flat, whatever its unit.
    let grown = |point: &str, column: &str| {
        Some(rounds.median(point, column)? / rounds.median(points.first()?.1, column)?)
    };
    let all: Vec<f64> =
        columns.iter().flat_map(|column| points.iter().filter_map(|point| grown(point.1, column))).collect();
    let most = ends(&all).1;
    let y = |value: f64| TOP + HEIGHT_OF_LINES * (1.0 - (value / most).clamp(0.0, 1.0));
    let mut text =
        open(TOP + HEIGHT_OF_LINES + 60.0, &format!("{title}: multiples of the first, over {across}"));
    for (at, name) in &points {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            x(*at),
            TOP + HEIGHT_OF_LINES + 18.0
        );
    }
    for (number, column) in columns.iter().enumerate() {
        let colour = LINES[number % LINES.len()];
        let path: Vec<String> = points
            .iter()
            .filter_map(|point| Some(format!("{:.1},{:.1}", x(point.0), y(grown(point.1, column)?))))
            .collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            path.join(" "),
            LEFT / 2.0 + 200.0 * number as f64,
            TOP + HEIGHT_OF_LINES + 42.0,
            escaped(column),
        );
    }
    for value in [0.0, 1.0, most] {
        let _ = writeln!(
            text,
            "<path d=\"M{} {:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT / 2.0,
            y(value),
            LEFT / 2.0 - 6.0,
            y(value) + 4.0,
            rough(value)
        );
    }
    text + "</svg>\n"
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n<text x=\"16\" y=\"24\" \
         font-size=\"14\">{}</text>\n",
        escaped(title)
    )
}

fn is_ours(name: &str) -> bool {
    name.contains("broker")
}

fn ends(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)))
}

fn rough(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::outcome;

    #[test]
    fn what_does_not_grow_is_a_flat_line() {
        let mut rounds = outcome().rounds;
        for (row, name) in rounds.rows.iter_mut().zip(["10", "1,000"]) {
            row.name = name.to_owned();
            row.values.insert("flat".to_owned(), vec![7.0]);
        }
        let picture = Picture::Lines {
            columns: ["CPU µs", "flat"].map(str::to_owned).to_vec(),
            across: "tasks".to_owned(),
        };
        let svg = plot("Growth", &rounds, &picture);
        let lines: Vec<&str> =
            svg.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        // Four times as much is at the top; the same is a quarter of the height.
        assert_eq!(lines, ["115.0,226.0 760.0,46.0", "115.0,226.0 760.0,226.0"]);
    }

    #[test]
    fn the_longest_bar_is_the_greatest_figure_and_ours_has_its_colour() {
        let picture = Picture::Bars { column: "CPU µs".to_owned(), logarithmic: false };
        let svg = plot("Hop & <more>", &outcome().rounds, &picture);
        let widths: Vec<&str> =
            svg.split("width=\"").skip(2).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(widths, ["132.5", "530.0"], "a quarter, and the whole");
        assert!(svg.contains("Hop &amp; &lt;more>") && svg.matches(OURS).count() == 1);
    }
}
