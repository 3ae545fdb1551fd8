//! What is seen while it runs: bars on a terminal, a plain line now and then without one, and the story in either case.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

pub(crate) struct Screen {
    began: Instant,
    /// Standard output belongs to the JSON alone.
    is_quiet: bool,
    bars: MultiProgress,
    stored: ProgressBar,
    items: ProgressBar,
    photo: ProgressBar,
    /// When the last plain line was written, if there are no bars.
    plain: Option<Instant>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) stored: u64,
    pub(crate) messages: u64,
    pub(crate) items: u64,
    pub(crate) expected: u64,
    pub(crate) photo: u64,
    pub(crate) photo_length: u64,
}

impl Screen {
    /// How often there is a plain line.
    const EVERY: Duration = Duration::from_secs(5);

    pub(crate) fn new(began: Instant, is_quiet: bool) -> anyhow::Result<Self> {
        let bars = MultiProgress::new();
        let add = |name: &'static str, template: &str| -> anyhow::Result<_> {
            let style = ProgressStyle::with_template(template)?.progress_chars("=> ");
            Ok(bars.add(ProgressBar::new(0).with_style(style).with_prefix(name)))
        };
        let numbers = "  {prefix:22} [{bar:40}] {human_pos:>7} of {human_len}";
        let bytes = "  {prefix:22} [{bar:40}] {binary_bytes:>7} of {binary_total_bytes}";
        let stored = add("messages stored", numbers)?;
        let items = add("copies on the devices", numbers)?;
        let photo = add("photo", bytes)?;
        let plain = (!std::io::stderr().is_terminal()).then_some(began);
        Ok(Self { began, is_quiet, bars, stored, items, photo, plain })
    }

    /// Something that everybody should see.
    pub(crate) fn say(&self, text: &str) {
        self.bars.suspend(|| self.write(text));
    }

    /// The same, with the time.
    pub(crate) fn tell(&self, text: &str) {
        self.say(&format!("{:6.1} s  {text}", self.began.elapsed().as_secs_f64()));
    }

    /// How far it is now.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let Progress { stored, messages, items, expected, photo, photo_length } = *progress;
        for (bar, at, of) in
            [(&self.stored, stored, messages), (&self.items, items, expected), (&self.photo, photo, photo_length)]
        {
            bar.set_length(of);
            bar.set_position(at);
        }
        if self.plain.is_some_and(|last| last.elapsed() >= Self::EVERY) {
            self.plain = Some(Instant::now());
            let photo = (100 * photo).checked_div(photo_length).unwrap_or_default();
            self.tell(&format!("... {stored} of {messages} stored, {items} of {expected} copies, photo {photo} %"));
        }
    }

    /// The bars go, and do not come back.
    pub(crate) fn clear(&self) {
        // A terminal that cannot do that keeps them.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Whoever reads it may have gone; the run goes on.
    fn write(&self, text: &str) {
        let _ =
            if self.is_quiet { writeln!(std::io::stderr(), "{text}") } else { writeln!(std::io::stdout(), "{text}") };
    }
}
