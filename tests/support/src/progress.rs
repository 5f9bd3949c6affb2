//! Progress lines: every step that may take longer than a moment says so, with the seconds since it began.

use std::io::Write;
use std::time::{Duration, Instant};

/// How long a step may be silent before it says again that it is at work.
const PULSE: Duration = Duration::from_secs(10);

/// A step under way. Prints its name when it begins and how long it took when it ends.
#[derive(Debug)]
pub struct Step {
    name: String,
    began: Instant,
    last_word: Instant,
}

impl Step {
    /// Announces a step on standard error.
    pub fn begin(name: impl Into<String>) -> Self {
        let now = Instant::now();
        let step = Self {
            name: name.into(),
            began: now,
            last_word: now,
        };
        step.say("...");
        step
    }

    /// Says that the step is still at work, at most every ten seconds. `doing` is the present state.
    pub fn pulse(&mut self, doing: &str) {
        if self.last_word.elapsed() >= PULSE {
            self.last_word = Instant::now();
            self.say(doing);
        }
    }

    /// How long the step has been at work.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the step and says how long it took.
    pub fn done(self) {
        self.say("done");
    }

    fn say(&self, what: &str) {
        line(format_args!(
            "[{:6.1} s] {}: {what}",
            self.elapsed().as_secs_f64(),
            self.name
        ));
    }
}

/// One line on standard error. A closed standard error is no reason to stop: the work goes on unheard.
pub fn line(text: std::fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{text}").ok();
}
