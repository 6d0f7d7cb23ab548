//! The growth curve as a picture: accuracy to the left, time to the right, over the number of agents.

use std::fmt::Write;

use broker_selection::evaluation::Point;

/// Width and height of the picture, and of one panel within.
const SIZE: [f64; 2] = [860.0, 320.0];
const PANEL: [f64; 2] = [330.0, 220.0];
/// Where the panels begin, from the left, and both from the top.
const LEFT: [f64; 2] = [60.0, 500.0];
const TOP: f64 = 50.0;
/// The times drawn, in microseconds as powers of ten.
const TIMES: [f64; 2] = [1.0, 5.0];

/// One line of a panel.
type Line<'a> = (&'a str, &'a str, &'a dyn Fn(&Point) -> f64);

/// Draws the points as SVG.
pub(crate) fn plot(title: &str, points: &[Point]) -> String {
    let [width, height] = SIZE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"22\" font-size=\"14\">{title}</text>\n",
        LEFT[0]
    );
    let percent = |value: f64| value / 100.0;
    let time = |value: f64| (value.max(1.0).log10() - TIMES[0]) / (TIMES[1] - TIMES[0]);
    let (top1, top3) = (|p: &Point| percent(p.top1), |p: &Point| percent(p.top3));
    let (p50, p99) = (|p: &Point| time(p.p50_us), |p: &Point| time(p.p99_us));
    let shares: Vec<(f64, String)> =
        (0..=5).map(|at| (f64::from(at) / 5.0, format!("{} %", at * 20))).collect();
    let times = ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms"];
    let times: Vec<(f64, String)> =
        (0..).zip(times).map(|(at, label)| (f64::from(at) / 4.0, label.to_owned())).collect();
    panel(&mut text, LEFT[0], points, &shares, [("#1f6fb4", "Top-1", &top1), ("#2a9d5c", "Top-3", &top3)]);
    panel(&mut text, LEFT[1], points, &times, [("#b4561f", "p50", &p50), ("#8b1f4a", "p99", &p99)]);
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, left: f64, points: &[Point], rulers: &[(f64, String)], lines: [Line<'_>; 2]) {
    let [width, height] = PANEL;
    let down = |share: f64| TOP + height * (1.0 - share.clamp(0.0, 1.0));
    #[expect(clippy::cast_precision_loss, reason = "a number of agents")]
    let across = |agents: usize| left + width * ((agents.max(10) as f64).log10() - 1.0) / 4.0;
    // Writing to a string cannot fail.
    for (share, label) in rulers {
        let y = down(*share);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {y:.1}h{width}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    for agents in [10, 100, 1_000, 10_000, 100_000] {
        let y = TOP + height + 18.0;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{y}\" text-anchor=\"middle\">{agents}</text>",
            across(agents)
        );
    }
    for ((colour, name, value), place) in lines.into_iter().zip([0.0, 70.0]) {
        let path: Vec<String> = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", across(point.agents), down(value(point))))
            .collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        let x = left + width / 2.0 - 60.0 + place;
        let y = TOP + height + 40.0;
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>");
    }
}
