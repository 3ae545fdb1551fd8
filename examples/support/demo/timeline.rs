//! Draws a run as a picture for the browser: a lane for each device and one for the server, time from left to right.
//!
//! In each lane a bar shows in which state it was, marks above it what happened to it, and the columns below it what it sent
//! (upwards) and got (downwards), by kind. A run has thousands of frames, so that columns stand for counts. Whatever has
//! no room for its text says it when it is pointed at.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

/// All that is to be seen.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) title: String,
    /// The devices and the server, from the top.
    pub(crate) lanes: Vec<String>,
    /// What is outside of these times is cut.
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    pub(crate) spans: Vec<Span>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) arrows: Vec<Arrow>,
}

/// A time in which a lane was in one state. Later ones lie over earlier ones.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) lane: usize,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) kind: SpanKind,
    pub(crate) label: String,
}

/// Something that happened to a lane.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) lane: usize,
    pub(crate) kind: MomentKind,
    pub(crate) label: String,
}

/// A frame that went from one lane to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrow {
    pub(crate) at: Duration,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: ArrowKind,
}

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($kind:ident = $class:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum $name { $($kind),* }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its class in the style sheet, and what the legend calls it.
            const fn names(self) -> (&'static str, &'static str) {
                match self { $(Self::$kind => ($class, $words)),* }
            }
        }
    };
}

kinds! {
    /// States; several may look alike, and differ by their labels.
    SpanKind {
        Link = "link", "has a link";
        Connecting = "connecting", "connects, or waits to";
        Down = "down", "the process does not run";
    }
}

kinds! {
    MomentKind {
        Start = "start", "started";
        Kill = "kill", "killed";
        Cut = "cut", "link cut";
        Done = "done", "done";
    }
}

kinds! {
    /// In the order in which a column is stacked, from the lane's middle outwards.
    ArrowKind {
        Message = "message", "message";
        Copy = "copy", "message again";
        Ack = "ack", "stored";
        Notify = "notify", "there is news";
        Page = "page", "sync";
        Transfer = "transfer", "part of a large payload";
        Greeting = "greeting", "greeting";
        Heartbeat = "heartbeat", "heartbeat";
        Other = "other", "other frames";
    }
}

const WIDTH: f64 = 1_200.0;
/// Where the lanes' names end and time begins.
const LEFT: f64 = 132.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 96.0;
const LANE: f64 = 104.0;
/// Within a lane, from its top: the marks' text, the bar, and the line that columns stand on and hang from.
const TEXT: f64 = 12.0;
const BAR: (f64, f64) = (22.0, 14.0);
const BASE: f64 = 68.0;
const TALLEST: f64 = 26.0;
const COLUMNS: usize = 262;
/// The width of a letter, more or less.
const LETTER: f64 = 6.2;

/// The picture, a whole file.
pub(crate) fn draw(story: &Story) -> String {
    let mut svg = String::new();
    picture(&mut svg, story).expect("a string takes everything");
    svg
}

fn picture(svg: &mut String, story: &Story) -> fmt::Result {
    let scale = Scale::new(story);
    let bottom = TOP + LANE * story.lanes.len() as f64;
    let height = bottom + 36.0;
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"20\" y=\"32\">{}</text>",
        Escaped(&story.title),
        Escaped(&story.title)
    )?;
    legend(svg, story)?;
    time_axis(svg, &scale, bottom)?;
    for (lane, name) in story.lanes.iter().enumerate() {
        let y = top_of(lane);
        let (base, right) = (y + BASE, WIDTH - RIGHT);
        writeln!(
            svg,
            "<text class=\"name\" x=\"20\" y=\"{}\">{}</text><path class=\"base\" d=\"M{LEFT} {base}H{right}\"/>",
            y + BAR.0 + 11.5,
            Escaped(name)
        )?;
    }
    story.spans.iter().try_for_each(|span| bar(svg, &scale, span))?;
    columns(svg, story, &scale)?;
    marks(svg, story, &scale)?;
    svg.write_str("</svg>\n")
}

fn top_of(lane: usize) -> f64 {
    TOP + LANE * lane as f64
}

/// Times to places.
struct Scale {
    begin: f64,
    seconds: f64,
}

impl Scale {
    fn new(story: &Story) -> Self {
        let begin = story.begin.as_secs_f64();
        Self { begin, seconds: (story.end.as_secs_f64() - begin).max(0.001) }
    }

    /// From 0 at the begin to 1 at the end; times outside are cut.
    fn part(&self, at: Duration) -> f64 {
        ((at.as_secs_f64() - self.begin) / self.seconds).clamp(0.0, 1.0)
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + (WIDTH - RIGHT - LEFT) * self.part(at)
    }

    fn column(&self, at: Duration) -> usize {
        ((self.part(at) * COLUMNS as f64) as usize).min(COLUMNS - 1)
    }

    fn holds(&self, at: Duration) -> bool {
        (self.begin..=self.begin + self.seconds).contains(&at.as_secs_f64())
    }

    /// A round number of seconds, of which the picture has room for twelve at most.
    fn step(&self) -> f64 {
        let rough = self.seconds / 12.0;
        let power = 10_f64.powf(rough.log10().floor());
        [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough).unwrap_or(rough)
    }
}

/// What the kinds that occur look like: states and marks in one row, frames in another.
fn legend(svg: &mut String, story: &Story) -> fmt::Result {
    let bar = |class| format!("<rect class=\"{class}\" y=\"-5\" width=\"13\" height=\"10\" rx=\"2\"/>");
    let mark = |class| format!("<path class=\"{class}\" d=\"M2 -4H12L7 5Z\"/>");
    let column = |class| format!("<rect class=\"{class}\" x=\"3\" y=\"-6\" width=\"8\" height=\"12\"/>");

    let spans = SpanKind::ALL.iter().filter(|kind| story.spans.iter().any(|span| span.kind == **kind));
    let marks = MomentKind::ALL.iter().filter(|kind| story.moments.iter().any(|moment| moment.kind == **kind));
    let above = spans.map(|kind| (bar(kind.names().0), kind.names().1));
    let above = above.chain(marks.map(|kind| (mark(kind.names().0), kind.names().1)));
    let heights = "the taller a column, the more frames (as a square root)";
    let above = above.chain((!story.arrows.is_empty()).then(|| (String::new(), heights)));
    let arrows = ArrowKind::ALL.iter().filter(|kind| story.arrows.iter().any(|arrow| arrow.kind == **kind));
    let below = arrows.map(|kind| (column(kind.names().0), kind.names().1));
    let below = below.chain((!story.arrows.is_empty()).then(|| (String::new(), "upwards: sent, downwards: received")));

    for (y, entries) in [(54.0, above.collect::<Vec<_>>()), (76.0, below.collect())] {
        let mut x = 20.0;
        for (shape, words) in entries {
            writeln!(
                svg,
                "<g transform=\"translate({x:.0} {y})\">{shape}<text class=\"small\" x=\"18\" y=\"4\">{words}</text></g>"
            )?;
            x += 34.0 + LETTER * words.len() as f64;
        }
    }
    Ok(())
}

fn time_axis(svg: &mut String, scale: &Scale, bottom: f64) -> fmt::Result {
    let step = scale.step();
    let first = (scale.begin / step - 1e-9).ceil();
    let places = if step < 1.0 { 2 } else { 0 };
    let ticks = (0..).map(|n| (first + f64::from(n)) * step);
    for seconds in ticks.take_while(|seconds| *seconds <= scale.begin + scale.seconds * 1.000_001) {
        let x = scale.x(Duration::from_secs_f64(seconds.max(0.0)));
        writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>\
             <text class=\"small middle\" x=\"{x:.1}\" y=\"{}\">{seconds:.places$} s</text>",
            bottom + 18.0
        )?;
    }
    Ok(())
}

fn bar(svg: &mut String, scale: &Scale, span: &Span) -> fmt::Result {
    let (from, to) = (scale.x(span.from), scale.x(span.to));
    let (y, width) = (top_of(span.lane) + BAR.0, (to - from).max(1.0));
    let (class, words) = span.kind.names();
    let label = if span.label.is_empty() { words } else { &span.label };
    write!(
        svg,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\"><title>{}: \
         {:.2} to {:.2} s</title></rect>",
        BAR.1,
        Escaped(label),
        span.from.as_secs_f64(),
        span.to.as_secs_f64()
    )?;
    if !span.label.is_empty() && width > LETTER * span.label.chars().count() as f64 + 8.0 {
        let (x, y) = (from + 5.0, y + 10.5);
        write!(svg, "<text class=\"small on-{class}\" x=\"{x:.1}\" y=\"{y}\">{}</text>", Escaped(&span.label))?;
    }
    writeln!(svg)
}

/// A column of each lane and time: what was sent stacked upwards, what came downwards. Each lane has its own scale.
fn columns(svg: &mut String, story: &Story, scale: &Scale) -> fmt::Result {
    // Lane, column, whether it was sent, and the kind.
    let mut counts = BTreeMap::<(usize, usize, bool, ArrowKind), u32>::new();
    for arrow in story.arrows.iter().filter(|arrow| scale.holds(arrow.at)) {
        let column = scale.column(arrow.at);
        *counts.entry((arrow.from, column, true, arrow.kind)).or_default() += 1;
        *counts.entry((arrow.to, column, false, arrow.kind)).or_default() += 1;
    }
    let mut piles = BTreeMap::<(usize, usize, bool), Vec<(ArrowKind, u32)>>::new();
    for ((lane, column, sent, kind), count) in counts {
        piles.entry((lane, column, sent)).or_default().push((kind, count));
    }
    let sum = |pile: &[(ArrowKind, u32)]| f64::from(pile.iter().map(|(_, count)| count).sum::<u32>());
    // Square roots, so that one frame is still seen beside a hundred.
    let mut tallest = vec![9.0; story.lanes.len()];
    for ((lane, ..), pile) in &piles {
        if let Some(tallest) = tallest.get_mut(*lane) {
            *tallest = sum(pile).max(*tallest);
        }
    }
    let width = (WIDTH - RIGHT - LEFT) / COLUMNS as f64;
    for ((lane, column, sent), pile) in &piles {
        let x = LEFT + width * (*column as f64 + 0.5);
        let at = scale.begin + scale.seconds * *column as f64 / COLUMNS as f64;
        let total = sum(pile);
        let Some(tallest) = tallest.get(*lane) else { continue };
        let pixel = TALLEST / (total * tallest).sqrt();
        let mut told = format!("{at:.2} s, {}", if *sent { "sent" } else { "received" });
        let mut y = 0.0;
        write!(svg, "<g class=\"c\">")?;
        for (kind, count) in pile {
            let (class, words) = kind.names();
            let height = pixel * f64::from(*count);
            let base = top_of(*lane) + BASE;
            let (from, to) = if *sent { (base - y, base - y - height) } else { (base + y, base + y + height) };
            write!(svg, "<path class=\"{class}\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>")?;
            write!(told, ", {count} × {words}")?;
            y += height;
        }
        writeln!(svg, "<title>{told}</title></g>")?;
    }
    Ok(())
}

/// The marks, and their text where it does not run into that of the mark before.
fn marks(svg: &mut String, story: &Story, scale: &Scale) -> fmt::Result {
    let mut moments: Vec<&Moment> = story.moments.iter().filter(|moment| scale.holds(moment.at)).collect();
    moments.sort_by_key(|moment| (moment.lane, moment.at));
    let mut free = (usize::MAX, 0.0);
    for moment in moments {
        let (class, words) = moment.kind.names();
        let label = if moment.label.is_empty() { words } else { &moment.label };
        let (x, y) = (scale.x(moment.at), top_of(moment.lane));
        writeln!(
            svg,
            "<g><path class=\"{class} thin\" d=\"M{x:.1} {}V{}\"/><path class=\"{class}\" d=\"M{:.1} {}h10l-5 8z\"/>\
             <title>{:.2} s: {}</title></g>",
            y + BAR.0,
            y + LANE - 8.0,
            x - 5.0,
            y + BAR.0 - 8.0,
            moment.at.as_secs_f64(),
            Escaped(label)
        )?;
        let length = LETTER * label.chars().count() as f64;
        let from = (x - length / 2.0).clamp(LEFT - 20.0, (WIDTH - length).max(LEFT - 20.0));
        if free.0 != moment.lane || from > free.1 {
            writeln!(svg, "<text class=\"small\" x=\"{from:.1}\" y=\"{}\">{}</text>", y + TEXT, Escaped(label))?;
            free = (moment.lane, from + length + 6.0);
        }
    }
    Ok(())
}

/// Text between tags or in an attribute. What XML has no place for, such as a zero byte, becomes `�`.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\u{FFFE}' | '\u{FFFF}' => f.write_char('\u{FFFD}'),
            letter if letter.is_control() => f.write_char('\u{FFFD}'),
            letter => f.write_char(letter),
        })
    }
}

/// The same for every story. A dark page has its own colours.
const STYLE: &str = "
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:20px;font-weight:600}.name{font-weight:600}.small{font-size:11px;fill:#57606a}.middle{text-anchor:middle}
.paper{fill:#fff}.grid{stroke:#d8dee4;stroke-width:.6;fill:none}.base{stroke:#8c959f;stroke-width:.6}
.link{fill:#b7e3c3}.connecting{fill:#fbe7a8}.down{fill:#3d444d}
.on-link,.on-connecting{fill:#24292f}.on-down{fill:#fff}
.start{fill:#1a7f37;stroke:#1a7f37}.kill{fill:#cf222e;stroke:#cf222e}.cut{fill:#bc4c00;stroke:#bc4c00}
.done{fill:#0969da;stroke:#0969da}
.thin{stroke-width:1;stroke-opacity:.55;fill:none}
.message{fill:#0969da;stroke:#0969da}.copy{fill:#d1242f;stroke:#d1242f}.ack{fill:#2da44e;stroke:#2da44e}.notify{fill:#d4a72c;stroke:#d4a72c}.page{fill:#8250df;stroke:#8250df}.transfer{fill:#1b9aaa;stroke:#1b9aaa}
.c path{stroke-width:3.6}.greeting{fill:#e16f24;stroke:#e16f24}.heartbeat{fill:#e85aad;stroke:#e85aad}.other{fill:#8c959f;stroke:#8c959f}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.small{fill:#9da7b3}.paper{fill:#0d1117}.grid{stroke:#2a313c}.base{stroke:#656c76}
.link{fill:#1f5c33}.connecting{fill:#6b5310}.down{fill:#c9d1d9}
.on-link,.on-connecting{fill:#e6edf3}.on-down{fill:#0d1117}
.message,.done{fill:#58a6ff;stroke:#58a6ff}.copy,.kill{fill:#ff7b72;stroke:#ff7b72}.ack,.start{fill:#56d364;stroke:#56d364}
.notify{fill:#e3b341;stroke:#e3b341}.page{fill:#bc8cff;stroke:#bc8cff}
}
";
